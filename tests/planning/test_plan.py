"""`socketd plan`: what it prints, what it suggests, and one line for each mistake."""

import importlib.util
from pathlib import Path

import pytest

from harness.supervisors import run_socketd
from socketd.cli import console, plan_command
from socketd.cli.report import report
from socketd.cli.socketd import commands
from socketd.config.build import Surroundings
from socketd.config.file import load
from socketd.errors import ExitCode
from socketd.planning.durations import Exponential
from socketd.planning.report import bytes_as_text
from socketd.planning.sizing import Demand, size_for
from socketd.planning.streams import STREAMS, Stream, steady
from socketd.planning.traces import MOST_CONNECTIONS

BY_RATE = ["--rate", "200/s", "--service", "50ms", "--connections", "2000"]


def planned(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr of `socketd plan`, without a process."""
    code = report(
        "socketd", lambda: commands.main(["plan", *arguments], "socketd", standalone_mode=False)()
    )
    return code, *capfd.readouterr()


@pytest.fixture(autouse=True)
def _signals_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the signals of the tests alone: that is a command's affair."""
    monkeypatch.setattr(console, "answer_signals", lambda: None)


GOLDEN = """\
steady: 200/s, exponential service of 50ms on average

load          10      workers at work on average
workers.min   3       covers what arrives in 1ms, until a replacement waits
workers.max   19      0.96% find all at work (Erlang C), and wait 5.8ms on average; p99 of all 0
idle_timeout  30s     the default: nothing asks for a longer one
memory        95M     at most: 19 workers of 5M

simulated: 2000 connections

"""


def test_plan_is_the_same_each_time(capfd: pytest.CaptureFixture[str]) -> None:
    """Sizes with their reasons, then a line for each strategy."""
    code, text, complaint = planned(capfd, *BY_RATE, "--worker-memory", "5M")

    assert (code, complaint) == (ExitCode.DONE, "")
    assert text.startswith(GOLDEN)
    assert text.removeprefix(GOLDEN) == TABLE


TABLE = """\
strategy     min  no idle worker  wait p50     p99     max  forks  mean workers  peak  mean memory
fixed         19            1.7%         0  3.58ms  15.6ms   2019          19.0    19          95M
eager          3            1.9%         0  3.58ms  15.6ms   2003          12.9    19        64.3M
adaptive       3            1.8%         0  3.58ms  15.6ms   2006          14.7    19        73.7M
incremental    3            2.5%         0  7.52ms  34.2ms   2019          18.9    19        94.3M
surge          3            1.7%         0  3.58ms  15.6ms   2019          19.0    19          95M
"""


@pytest.mark.parametrize("stream", ["steady", "bursts"])
def test_suggestion_is_a_part_of_a_file(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, stream: str
) -> None:
    """What it prints can be put below a service."""
    code, text, _ = planned(capfd, *BY_RATE, "--stream", stream, "--suggest", "--of", "web")
    file = tmp_path / "services.toml"
    file.write_text(f'[service.web]\nlisten = ["tcp:127.0.0.1:7000"]\nprogram = "cat"\n{text}')

    settings = load(str(file), Surroundings({"PATH": "/usr/bin:/bin"}))[0].pool
    assert code == ExitCode.DONE
    assert f"max = {settings.maximum}" in text


def test_trace_is_planned_for(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What it says of arrivals and services is what is simulated; the rest is told."""
    trace = tmp_path / "arrivals.csv"
    trace.write_text("".join(f"{n / 10},0.5\n" for n in range(100)) + "10.5\n")
    code, text, _ = planned(capfd, str(trace), "--strategy", "fixed")

    assert code == ExitCode.DONE
    assert text.startswith(f"{trace}: 101 connections in 10s, 9.62/s\n")
    assert "the time of service of 1 connections was made up" in text
    assert "simulated: 101 connections\n" in text


def test_hosts_share_the_load(capfd: pytest.CaptureFixture[str]) -> None:
    """As many as it takes that none needs more workers than it may have."""
    _, text, _ = planned(capfd, *BY_RATE, "--per-host", "12", "--strategy", "eager")

    assert "hosts         2       with the same share of the connections each" in text
    assert "workers.max   12 " in text
    assert "simulated: 1000 connections of one host" in text


def test_own_sizes_are_simulated(capfd: pytest.CaptureFixture[str]) -> None:
    """What is needed stays said, and that it is not what is simulated."""
    _, text, _ = planned(
        capfd, *BY_RATE, "--min", "1", "--max", "50", "--idle-timeout", "5s", "--strategy", "eager"
    )

    assert "simulated with min 1, max 50, idle_timeout 5s, as you say" in text
    assert text.splitlines()[-1].split()[:2] == ["eager", "1"]


def test_stream_that_repeats_its_rushes_keeps_workers_between_them() -> None:
    """The idle time-out is longer than most gaps between rushes."""
    arrivals = [45.0 * rush + number * 1e-5 for rush in range(8) for number in range(20)]
    arrivals += [float(second) + 0.5 for second in range(1, 3000)]
    ordered = sorted(arrivals)
    stream = Stream(
        steady(1.0, 2, Exponential(1.0), 1).arrivals[:0],
        steady(1.0, 2, Exponential(1.0), 1).arrivals[:0],
    )
    stream.arrivals.extend(ordered)
    stream.services.extend([0.01] * len(ordered))

    size = size_for(Demand(stream, 0.96, 0.001))

    assert size is not None
    assert size.idle_seconds == 60.0


def test_load_that_no_host_can_take_has_no_size() -> None:
    """More than a thousand hosts are no plan."""
    stream = steady(1000.0, 3000, Exponential(10.0), 1)

    assert (
        size_for(Demand(stream, 0.99, 0.001, per_host=1, rate=1000.0, served=Exponential(10.0)))
        is None
    )


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "give --rate, or a trace"),
        (["--rate", "200/s"], "--rate: give --service as well, or --distribution lognormal"),
        (["--rate", "0/s"], "--rate: '0/s' is not a rate; give a number and /s, /m, /h or /d"),
        (["--rate", "1e3"], "--rate: '1e3' is not a rate"),
        (["--rate", "9999999/s"], "--rate: '9999999/s' is not a rate"),
        (["--rate", "٣/s"], "--rate: '٣/s' is not a rate"),
        ([*BY_RATE, "--goal", "100%"], "--goal: '100%' is not a share"),
        ([*BY_RATE, "--goal", "20%"], "--goal: '20%' is not a share"),
        ([*BY_RATE, "--service", "soon"], "--service: 'soon' is not a duration"),
        ([*BY_RATE, "--worker-memory", "5 MB"], "--worker-memory: '5 MB' is not a size"),
        ([*BY_RATE, "--start-time", "0"], "--start-time: '0' is not a duration"),
        ([*BY_RATE, "--distribution", "lognormal"], "--distribution lognormal goes together"),
        ([*BY_RATE, "--p50", "1s"], "--p50 and --p99 go together with --distribution lognormal"),
        (
            [*BY_RATE, "--distribution", "lognormal", "--p50", "1s", "--p99", "2s"],
            "--service: --p50 and --p99 say it already",
        ),
        (
            ["--rate", "1/s", "--distribution", "lognormal", "--p50", "2s", "--p99", "1s"],
            "--p99: it is less than --p50",
        ),
        ([*BY_RATE, "--min", "9", "--max", "3"], "--max: 3 is less than the 9 of --min"),
        (
            [*BY_RATE, "--plot", "x.txt"],
            "--plot: 'x.txt' does not end with one of .svg, .png, .pdf",
        ),
        ([*BY_RATE, "--of", "web"], "--of: only a trace has connections of several services"),
        (["nowhere.csv"], "cannot read the trace 'nowhere.csv': No such file or directory"),
        (["nowhere.csv", "--rate", "1/s"], "--rate: the trace says already when connections come"),
        (
            ["--rate", "100000/s", "--service", "10s", "--connections", "100"],
            "no number of workers is enough for this load",
        ),
    ],
)
def test_nonsense_is_one_line(
    capfd: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    """What was given, what is wrong with it, what would be right."""
    code, text, line = planned(capfd, *arguments)

    assert (code, text, line.count("\n")) == (ExitCode.USAGE, "", 1)
    assert line.startswith(f"socketd: {complaint}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--connections", "1"], "Invalid value for '--connections'"),
        (["--stream", "tidal"], "Invalid value for '--stream'"),
        (["--strategy", "lazy"], "Invalid value for '--strategy'"),
        (["--min", "0"], "Invalid value for '--min'"),
        (["--nosuch"], "No such option"),
    ],
)
def test_option_that_is_none_ends_with_the_code_of_usage(
    arguments: list[str], complaint: str
) -> None:
    """As with every subcommand."""
    outcome = run_socketd("plan", *BY_RATE, *arguments)

    assert (outcome.status, outcome.stdout) == (ExitCode.USAGE, "")
    assert complaint in outcome.stderr


def test_plot_needs_its_extra(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Where matplotlib is, a picture comes; where not, one line says what to install."""
    path = tmp_path / "plan.svg"
    code, _, line = planned(capfd, *BY_RATE, "--strategy", "eager", "--plot", str(path))

    if importlib.util.find_spec("matplotlib") is None:
        assert code == ExitCode.SYSTEM
        assert "pip install 'socketd[plot]'" in line
    else:
        assert code == ExitCode.DONE
        assert path.read_text().count("</svg>") == 1


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0"), (1023, "1023"), (5 << 20, "5M"), (3 << 40, "3T"), (1500, "1.46K")]
)
def test_bytes_are_shown_in_a_short_unit(count: int, text: str) -> None:
    """Three digits and a letter."""
    assert bytes_as_text(count) == text


def test_grammar_has_the_streams_and_the_limit_that_there_are() -> None:
    """It is made without the room that knows them, which takes longer to import."""
    assert list(STREAMS) == plan_command.STREAMS
    assert plan_command.MOST_CONNECTIONS == MOST_CONNECTIONS
