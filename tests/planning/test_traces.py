"""Traces: what is taken of each format, and one clear line for each mistake in such a file."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from socketd.errors import UsageError
from socketd.planning import traces
from socketd.planning.durations import Fixed
from socketd.planning.traces import Trace, read_trace, stream_of

NGINX = (
    "192.0.2.1 - - [29/Nov/2026:10:00:0{second} +0100] "
    '"GET /{path} HTTP/1.1" 200 12 "-" "x 1.5"{rest}'
)


def trace_of(tmp_path: Path, content: str | bytes, service: str | None = None) -> Trace:
    """Return what is read of a file with that content."""
    path = tmp_path / "trace"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_trace(str(path), service)


def test_csv_has_arrivals_and_services(tmp_path: Path) -> None:
    """Names of columns, comments and blank lines are passed over; the order is that of time."""
    trace = trace_of(tmp_path, "arrival,service\n# a remark\n12.5,0.25\n\n10,1\n11.5,\n")

    assert trace.connections == [(10.0, 1.0), (11.5, -1.0), (12.5, 0.25)]
    assert list(stream_of(trace, Fixed(3.0), 1).arrivals) == [0.0, 1.5, 2.5]
    assert list(stream_of(trace, Fixed(3.0), 1).services) == [1.0, 3.0, 0.25]
    assert stream_of(trace, None, 1).services[1] in (1.0, 0.25)


def test_csv_takes_times_of_iso_8601(tmp_path: Path) -> None:
    """With a zone or without, which is UTC."""
    trace = trace_of(
        tmp_path, "2026-11-29T10:00:00Z\n2026-11-29T11:00:01+01:00\n2026-11-29 10:00:02\n"
    )

    begin = trace.connections[0][0]
    assert [moment - begin for moment, _ in trace.connections] == [0.0, 1.0, 2.0]


def test_access_log_has_the_end_of_a_request_and_its_time(tmp_path: Path) -> None:
    """The time of a line less the time of the request is when it came, within a second."""
    lines = [NGINX.format(second=n, path="a 9.9", rest=f" 0.{n}50") for n in (5, 6)]
    trace = trace_of(tmp_path, "\n".join(lines))

    assert [seconds for _, seconds in trace.connections] == [0.55, 0.65]
    for number, (moment, seconds) in zip((5, 6), trace.connections, strict=True):
        end = 1795942800 + number
        assert end <= moment + seconds < end + 1


@pytest.mark.parametrize(
    ("rest", "seconds"),
    [("", -1.0), (" 0.012", 0.012), (' "0.012"', -1.0), (" rt=0.012", 0.012), (" 12", -1.0)],
)
def test_time_of_a_request_stands_at_the_end(tmp_path: Path, rest: str, seconds: float) -> None:
    """In seconds with a point, named or not; what is quoted may be a client's."""
    lines = [NGINX.format(second=n, path="", rest=rest) for n in (1, 2)]

    assert {one for _, one in trace_of(tmp_path, "\n".join(lines)).connections} == {seconds}


def test_lines_of_an_access_log_that_have_no_time_are_counted(tmp_path: Path) -> None:
    """Strangers write into it: what makes no sense is left out, and said so."""
    lines = [NGINX.format(second=n, path="", rest="") for n in (1, 2)]
    odd = [b"garbage \xff\xfe", lines[0].replace("29/Nov", "31/Feb").encode()]
    trace = trace_of(tmp_path, b"\n".join([lines[0].encode(), *odd, lines[1].encode()]))

    assert (len(trace.connections), trace.skipped) == (2, 2)


def line(event: str, service: str, pid: int, second: float, **more: object) -> str:
    """Return a line of our own log."""
    timestamp = f"2026-11-29T10:00:{second:09.6f}Z"
    known = {"event": event, "service": service, "pid": pid, "timestamp": timestamp}
    return json.dumps({**known, **more}) + "\n"


LOG = (
    line("connection_accepted", "a", 1, 0.0, id="x")
    + line("connection_accepted", "a", 2, 1.0, id="y")
    + line("connection_closed", "a", 1, 1.5, id="x", duration_s=1.5)
    + line("connection_closed", "b", 1, 3.5, id="z", duration_s=0.5)
    + line("connection_closed", "b", 9, 3.5, id="w", duration_s="?")
    + line("stopping", "b", 9, 9.0)
    + '[1]\n{"event": "connection_clo\n'
)


def test_own_log_has_begins_and_durations(tmp_path: Path) -> None:
    """One that has not ended has no duration; a line that is broken off is nothing."""
    trace = trace_of(tmp_path, LOG)
    begin = trace.connections[0][0]

    assert [(round(moment - begin, 6), one) for moment, one in trace.connections] == [
        (0.0, 1.5), (1.0, -1.0), (3.0, 0.5),
    ]  # fmt: skip
    assert trace.skipped == 1
    assert len(trace_of(tmp_path, LOG, "a").connections) == 2


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("a,b\n", "no connection is in this CSV file"),
        ("1\n", "all its connections have one time: a rate needs two"),
        ("1\n1\n", "all its connections have one time"),
        ("1\nsoon\n", "line 2: 'soon' is no time: seconds, or ISO 8601"),
        ("1\nnan\n", "line 2: 'nan' is no time"),
        ("1e99,1\n2,1\n", "line 1: '1e99' is no time"),
        ("1,2\n2,-1\n", "line 2: '-1' is no time of service in seconds"),
        ("1,2\n2,1e300\n", "line 2: '1e300' is no time of service"),
        ("1,2,3\n", "line 1: 3 columns, not an arrival and a service"),
        ("1\n" + "9" * 70000, "line 2: it is longer than 65536 bytes: no trace"),
        ("\0\1\2", "no connection is in this CSV file"),
        ('{"event": "stopping"}\n', "no connection is in this log of ours"),
    ],
)
def test_mistake_is_one_line_that_names_the_place(
    tmp_path: Path, content: str, complaint: str
) -> None:
    """Which file, which line, what is wrong with it."""
    with pytest.raises(UsageError) as caught:
        trace_of(tmp_path, content)

    assert complaint in str(caught.value)
    assert str(tmp_path / "trace") in str(caught.value)
    assert "\n" not in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.lists(
            st.sampled_from(
                [b"1", b"2.5,1", b"\r", b"\0", b'"', b",", b"\n", b"1e308", b"nan", b"{", b"}",
                 b'{"event": "connection_closed", "duration_s": ', b"9" * 400,
                 b"[29/Nov/2026:10:00:01 +0100]", b" 0.5", b"-1", b"\xff",
                 b'"timestamp": "9999-12-31T23:59:59Z"', b"[" * 50]
            )
        ).map(b"".join),
    )
)  # fmt: skip
def test_any_file_is_a_trace_or_a_mistake(content: bytes) -> None:
    """Whatever strangers have written: nothing but a clear complaint comes of it."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        try:
            trace = read_trace(file.name)
        except UsageError:
            return

    stream = stream_of(trace, Fixed(1.0), 1)
    assert list(stream.arrivals) == sorted(stream.arrivals)
    assert all(0.0 <= one < 1e8 for one in stream.services)


def test_number_of_connections_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without end is not read to its end."""
    monkeypatch.setattr(traces, "MOST_CONNECTIONS", 3)

    with pytest.raises(UsageError, match="it has more than 3 connections: give a part of it"):
        trace_of(tmp_path, "1\n2\n3\n4\n")
    with pytest.raises(UsageError, match="more connections than are looked at"):
        trace_of(
            tmp_path,
            "".join(LOG.splitlines(keepends=True)[0].replace('"x"', f'"{n}"') for n in range(5)),
        )


def test_file_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    """What the system says, and of which file."""
    with pytest.raises(UsageError, match=r"cannot read the trace .*: Is a directory"):
        read_trace(str(tmp_path))


def test_services_that_nobody_knows_are_asked_for(tmp_path: Path) -> None:
    """Arrivals alone say nothing of how long connections last."""
    with pytest.raises(UsageError, match="does not say how long connections last: give --service"):
        stream_of(trace_of(tmp_path, "1\n2\n"), None, 1)


def test_only_our_own_log_has_services(tmp_path: Path) -> None:
    """Another format has none to choose."""
    with pytest.raises(UsageError, match="--of: only our own log in JSON"):
        trace_of(tmp_path, "1\n2\n", "a")
    with pytest.raises(UsageError, match="no connection of the service 'c' is in this log of ours"):
        trace_of(tmp_path, LOG, "c")
