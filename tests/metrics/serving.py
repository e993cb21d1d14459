"""The program behind a socket, as `[metrics]` runs it."""

import sys
from pathlib import Path

import socketd.metrics
from harness.servers import Server

PROGRAM = str(Path(socketd.metrics.__file__).with_name("__main__.py"))


def serve(control: Path) -> Server:
    """Start a server of it; each copy asks the control socket at this path."""
    command = f"{sys.executable} -m socketd.hold {PROGRAM} {control}"
    options = "-l -B 127.0.0.1 -s 0 --ready stop --stderr inherit -p".split()
    return Server([*options, command], is_quiet=False)


def url_of(server: Server) -> str:
    """Return the address of the page."""
    host, port = server.place[0], server.place[1]
    return f"http://{host}:{port}/"


def without_h11(folder: Path) -> dict[str, str]:
    """Return variables with which a command finds no h11."""
    (folder / "sitecustomize.py").write_text(
        "import sys\nfrom importlib.machinery import PathFinder\n"
        "class Without(PathFinder):\n"
        "    @classmethod\n"
        "    def find_spec(cls, name, *rest):\n"
        "        return None if name == 'h11' else PathFinder.find_spec(name, *rest)\n"
        "sys.meta_path[:] = [Without if f is PathFinder else f for f in sys.meta_path]\n"
    )
    return {"PYTHONPATH": str(folder)}
