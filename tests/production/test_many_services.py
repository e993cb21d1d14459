"""Many services in one master: what each of them costs does not grow with their number."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from socketd.system.products import is_built

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not is_built(), reason="the native worker was not built: no C compiler"),
]

# Work, not time: the calls that the master makes from its start to its end.
COUNT = """
import os
import sys
calls = 0
def count(frame, event, argument):
    global calls
    calls += event == "call" or event == "c_call"
from socketd.cli.socketd import main
out = open(sys.argv[1], "w")
sys.argv[:] = ["socketd", *sys.argv[2:]]
end = os._exit
def tell(code):
    sys.setprofile(None)
    print(calls, file=out, flush=True)
    end(code)
os._exit = tell  # how the command ends
sys.setprofile(count)
main()
"""


def calls_for(folder: Path, services: int) -> int:
    """Return the calls of a master that starts so many services, reloads and stops them."""
    file, result = folder / "services.toml", folder / "calls"
    file.write_text(
        "\n".join(
            f'[service.s{n}]\nlisten = ["unix:{folder}/{n}"]\nprogram = ["cat"]\n'
            for n in range(services)
        )
    )
    ready, theirs = os.pipe()
    options = ["run", "--ready-fd", str(theirs), "--log-format", "json", str(file)]
    with (
        open(ready, "rb") as readiness,
        subprocess.Popen(
            [sys.executable, "-c", COUNT, str(result), *options],
            pass_fds=[theirs],
            stderr=subprocess.PIPE,
            text=True,
        ) as master,
    ):
        os.close(theirs)
        try:
            assert readiness.read() == b"\n"
            master.send_signal(signal.SIGHUP)
            assert master.stderr is not None
            assert any('"reloaded"' in line for line in master.stderr)
            master.send_signal(signal.SIGTERM)
            assert sum('"stopped"' in line for line in master.stderr) == services
            assert master.wait() == 0
        except BaseException:
            master.kill()
            raise
    return int(result.read_text())


def test_work_grows_with_the_number_of_services_and_not_with_its_square(tmp_path: Path) -> None:
    """Four times as many more services are four times as much more to do, and not sixteen times.

    How often the master takes a turn is chance, and a turn asks each service: so it is not exact.
    """
    few, more, many = (calls_for(tmp_path, services) for services in (10, 40, 160))

    assert many - more < 6 * (more - few)
