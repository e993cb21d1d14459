"""`socketd top` without a terminal: what follows from keys, clicks and states, what is drawn."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketd.control.document import BackOff, Failures, State, Worker
from socketd.dataclass import replace
from socketd.display.cells import beginning, end, width_of
from socketd.display.history import ALL, BUCKET_SECONDS, Tracks, bars, heard
from socketd.display.messages import (
    Chosen,
    Command,
    End,
    Event,
    Heard,
    Key,
    Leave,
    Listed,
    Look,
    Lost,
    Resized,
    Sorted,
    Told,
    Wheeled,
)
from socketd.display.model import Model, listeners, name_of, workers
from socketd.display.picture import Ink, draw, meaning
from socketd.display.steps import step

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "state.json"
STATE = msgspec.json.decode(EXAMPLE.read_bytes(), type=State)
LEVEL = STATE.services[0].listeners[0].level
ECHO = ("echo", "tcp:127.0.0.1:7000")
WEB = ("web", "unix:/run/web.sock")
BUSY = Worker(1, 4301, "busy", 3, 9.0, 4.5, "192.0.2.7:5000", 0.25, 3 << 20)
YOUNG = Worker(2, 4302, "busy", 3, 9.0, 0.5, "192.0.2.8:5000", 1.5, 1 << 20)
IDLE = Worker(3, 4303, "idle", 3, 9.0, None, None, 0.0, 1 << 19)
LISTED = Listed(ECHO, (BUSY, YOUNG, IDLE))


def with_listener(service: int, **changes: Any) -> State:  # noqa: ANN401  fields, each of its kind
    """Return the example with something else about a listener."""
    services = list(STATE.services)
    one = replace(services[service].listeners[0], **changes)
    services[service] = replace(services[service], listeners=[one])
    return replace(STATE, services=services)


def many(count: int) -> State:
    """Return a state with so many services."""
    services = [replace(STATE.services[0], name=f"s{number:03}") for number in range(count)]
    return replace(STATE, services=services)


def after(model: Model, *events: Event) -> tuple[Model, list[Command]]:
    """Return the model after some events, and all commands."""
    all_commands: list[Command] = []
    for event in events:
        model, commands = step(model, event)
        all_commands += commands
    return model, all_commands


def pressed(model: Model, *keys: str) -> tuple[Model, list[Command]]:
    """Return the model after some keys, and all commands."""
    return after(model, *(Key(key) for key in keys))


def text_of(model: Model) -> str:
    """Return the screen."""
    return "\n".join("".join(piece.text for piece in spans) for spans in draw(model))


WATCHING = after(Model(), Heard(STATE, 100.0))[0]
OPENED = after(WATCHING, Key("enter"), LISTED)[0]


def test_selected_row_is_a_listener_and_not_a_place() -> None:
    """It stays on its listener whatever comes and goes above it."""
    model, _ = pressed(WATCHING, "down")
    assert model.view.selected == WEB

    more = replace(STATE, services=[replace(STATE.services[0], name="new"), *STATE.services])
    model, _ = after(model, Heard(more, 101.0), Sorted("BUSY"))
    assert model.view.selected == WEB
    assert list(model.names)[model.view.place] == WEB


def test_row_that_is_gone_leaves_its_place() -> None:
    """What is in its place then is selected, the last row if there is none."""
    model, _ = after(Model(), Heard(many(5), 100.0), *[Key("down")] * 3)
    left = [one for one in many(5).services if one.name != "s003"]
    model, _ = after(model, Heard(replace(STATE, services=left), 101.0))
    assert model.view.selected == ("s004", ECHO[1])

    model, _ = after(model, Heard(many(2), 102.0))
    assert model.view.selected == ("s001", ECHO[1])


def test_rows_scroll_with_the_selected_one() -> None:
    """Page keys, Home and End, and the wheel."""
    model, _ = after(Model(), Resized(80, 16), Heard(many(100), 100.0), Key("pagedown"))
    assert model.view.selected == ("s010", ECHO[1])
    assert "s010" in text_of(model)
    model, _ = pressed(model, "end")
    assert (model.view.place, model.view.first) == (99, 90)
    assert "row 100 of 100" in text_of(model)
    model, _ = after(model, Wheeled(-1))
    assert (model.view.place, model.view.first) == (96, 90)
    model, _ = pressed(model, "home", "up")
    assert (model.view.place, model.view.first) == (0, 0)


def test_column_sorts_with_the_largest_number_first() -> None:
    """A second time turns the order round; what is not known is the least."""
    state = with_listener(0, queue=None)
    model, _ = after(Model(), Heard(state, 100.0), Sorted("QUEUE"))
    assert list(model.names) == [WEB, ECHO]
    model, _ = after(model, Sorted("QUEUE"))
    assert list(model.names) == [ECHO, WEB]
    model, _ = pressed(model, "r")
    assert list(model.names) == [WEB, ECHO]
    model, _ = after(model, Sorted("SERVICE"))
    assert list(model.names) == [ECHO, WEB]


def test_keys_go_from_column_to_column() -> None:
    """Before the first one is the order of the server."""
    model, _ = pressed(WATCHING, "right")
    assert model.view.column == "SERVICE"
    model, _ = pressed(model, "left")
    assert model.view.column is None
    model, _ = pressed(model, "<")
    assert model.view.column == "LEVEL"


def test_listener_opens_and_closes() -> None:
    """Its workers are asked for as long as they are seen."""
    model, commands = pressed(WATCHING, "enter")
    assert commands == [Look(ECHO)]
    model, _ = after(model, Listed(WEB, (IDLE,)), LISTED)
    assert [name_of(one) for one in workers(model)] == [(1, 4301), (2, 4302), (3, 4303)]
    assert "192.0.2.7:5000" in text_of(model)
    model, commands = pressed(model, "escape")
    assert (model.opened, commands) == (None, [Look(None)])


def test_listener_that_is_no_more_closes() -> None:
    """A reload may take away what somebody looks at."""
    left = replace(STATE, services=STATE.services[1:])
    model, commands = after(OPENED, Heard(left, 101.0))

    assert (model.opened, commands) == (None, [Look(None)])
    assert "echo tcp:127.0.0.1:7000 is no more" in text_of(model)


def test_connection_is_ended_after_a_yes() -> None:
    """The question says whose it is; the answer is not heard as anything else."""
    model, commands = pressed(OPENED, "k")
    assert commands == []
    assert "End the connection of process 4301, client 192.0.2.7:5000" in text_of(model)
    assert pressed(model, "y")[1] == [End(4301)]
    for key in ("n", "q", "enter", "escape", "k"):
        other, commands = pressed(model, key)
        assert (other.question, commands) == (None, [])


def test_question_is_about_one_connection() -> None:
    """Whatever is selected when the answer comes; and no other connection takes its place."""
    model, _ = pressed(OPENED, "k")
    model, _ = after(model, Chosen(name_of(YOUNG)), Wheeled(1))
    assert pressed(model, "y")[1] == [End(4301)]
    for changed in ((YOUNG,), (replace(BUSY, connection_seconds=0.5),)):
        over, commands = after(model, Listed(ECHO, changed), Key("y"))
        assert commands == []
        assert "that connection is over" in text_of(over)


def test_only_a_connection_is_ended() -> None:
    """Neither a worker that waits nor a listener asks a question."""
    model, _ = pressed(OPENED, "end", "k")
    assert model.question is None
    assert "worker 3 has no connection" in text_of(model)
    model, _ = pressed(WATCHING, "k")
    assert model.question is None
    assert "open a listener first" in text_of(model)


def test_outcome_of_an_order_is_shown_until_the_next_key() -> None:
    """Whatever it is."""
    model, _ = after(OPENED, Told("process 4301 is not ended: why", is_done=False))
    assert "is not ended: why" in text_of(model)
    model, _ = pressed(model, "down")
    assert "is not ended" not in text_of(model)


def test_rows_are_found_by_a_text() -> None:
    """Letters are a text while somebody looks for one, and no orders."""
    model, commands = pressed(WATCHING, "/", "q", "W", "backspace", "backspace", "W", "e")
    assert commands == []
    assert [row[0].name for row, _ in listeners(model)] == ["web"]
    model, _ = pressed(model, "enter")
    assert (model.is_finding, model.find) == (False, "we")
    model, _ = pressed(model, "escape")
    assert len(model.names) == 2
    model, _ = pressed(OPENED, "/", *"2.8")
    assert workers(model) == [YOUNG]


def test_pause_holds_everything() -> None:
    """Nothing changes until somebody goes on; that the server is gone is said all the same."""
    model, _ = pressed(OPENED, "p")
    held, _ = after(model, Heard(many(3), 101.0), Listed(ECHO, ()))
    assert text_of(held) == text_of(model)
    assert "gone" in text_of(after(held, Lost("gone"))[0])
    went_on, _ = after(held, Key("p"), Heard(STATE, 102.0), Listed(ECHO, ()))
    assert "no workers" in text_of(went_on)


def test_leaving_is_one_key() -> None:
    """The letter q, and Ctrl-C whatever is asked."""
    assert pressed(WATCHING, "q")[1] == [Leave()]
    assert pressed(OPENED, "k", "ctrl+c")[1] == [Leave()]
    assert pressed(WATCHING, "?", "q")[1] == []


def test_clicks_mean_what_is_there() -> None:
    """A head sorts, a row is selected, then opened, and a button is its key."""
    lines = draw(WATCHING)
    texts = ["".join(piece.text for piece in spans) for spans in lines]
    head = next(y for y, text in enumerate(texts) if text.startswith("SERVICE"))
    assert meaning(lines, texts[head].index("BUSY"), head) == Sorted("BUSY")
    assert meaning(lines, 30, head + 2) == Chosen(WEB)
    assert meaning(lines, texts[-1].index("Help"), 23) == Key("?")
    assert meaning(lines, 79, 1) is None
    assert meaning(lines, 0, 99) is None
    model, commands = after(WATCHING, Chosen(WEB))
    assert (model.view.selected, commands) == (WEB, [])
    model, commands = after(model, Chosen(WEB))
    assert (model.opened, commands) == (WEB, [Look(WEB)])


def test_one_service_is_all_there_is_if_it_was_asked_for() -> None:
    """The numbers of all are those of it."""
    model, _ = after(Model(service="web"), Heard(STATE, 100.0))

    assert list(model.names) == [WEB]
    assert "busy 4 of 8" in text_of(model)


def test_what_is_wrong_is_said() -> None:
    """The worst complaint, why a listener is not as it was wanted, and that nobody answers."""
    assert "1 of 2: " in text_of(WATCHING)
    changed = with_listener(
        1,
        back_off=BackOff(2.0, 3, "fork: no"),
        level=replace(LEVEL, wanted="read", had="fork", reason="it starts a thread"),
    )
    model, _ = after(Model(), Heard(changed, 100.0), Key("end"), Key("enter"))
    assert "no worker is started for 2 s: fork: no; fork and not read: it starts" in text_of(model)
    model, _ = after(WATCHING, Lost("cannot ask the server"))
    assert "cannot ask the server" in text_of(model)
    model, _ = after(model, Heard(STATE, 101.0))
    assert "cannot ask the server" not in text_of(model)


def test_all_that_is_wrong_is_said_where_there_is_room() -> None:
    """Below the table, which comes first; what has no room there is counted."""
    services = [
        replace(one, listeners=[replace(one.listeners[0], state="drained")])
        for one in many(8).services
    ]
    reloads = replace(STATE.server.reloads, last=None)
    drained = replace(STATE, services=services, server=replace(STATE.server, reloads=reloads))
    found = [f"s{number:03} {ECHO[1]}: it is drained" for number in range(8)]

    model, _ = after(Model(), Heard(drained, 100.0))
    lines = text_of(model).splitlines()
    assert lines[2] == f"1 of 8: {found[0]}"
    assert lines[12:21] == ["", *found[1:], ""]
    model, _ = after(model, Resized(80, 18))
    assert text_of(model).splitlines()[12:16] == ["", *found[1:3], "and 5 more"]
    model, _ = after(model, Resized(80, 15))
    assert "more" not in text_of(model)


def test_listener_whose_connections_fail_looks_like_trouble() -> None:
    """Also where there is no room for the column that says so."""
    counts = STATE.services[0].listeners[0].connections
    closed = counts.closed | {"failed": counts.closed["failed"] + 9}
    fails = replace(counts, accepted=counts.accepted + 9, closed=closed)
    after_that = with_listener(0, connections=fails)
    model, _ = after(Model(), Heard(STATE, 100.0), Heard(after_that, 101.0), Key("down"))

    assert [draw(one)[4][0].ink for one in (WATCHING, model)] == [Ink.SELECTED, Ink.WARNING]


def test_why_a_worker_failed_is_said_after_the_pause() -> None:
    """Whoever opens a listener sees when and why, if a pause does not say so already."""
    failures = Failures(6, "exec: No such file or directory", STATE.server.answered_at - 9.0)
    state = with_listener(0, failures=failures, level=replace(LEVEL, reason=""))
    model, _ = after(Model(width=120), Heard(state, 100.0), Key("enter"))

    assert "a worker has failed 9 s ago: exec: No such file or directory" in text_of(model)


def test_long_name_leaves_the_address_whole() -> None:
    """A column shrinks to what is enough before another shrinks to less."""
    long = replace(STATE.services[0], name="a-" + 31 * "long-")
    model, _ = after(Model(), Heard(replace(STATE, services=[long]), 100.0))

    assert f"  {ECHO[1]}  " in text_of(model)


def test_letters_take_the_cells_that_they_take_on_a_terminal() -> None:
    """Columns stand below each other, whatever letters are in them."""
    web = replace(STATE.services[1].listeners[0], address="unix:/run/日本語の名前.sock")
    accent = replace(web, address="unix:/run/e\u0301.sock")
    services = [replace(STATE.services[1], listeners=[web, accent])]
    model, _ = after(Model(), Heard(replace(STATE, services=services), 100.0))
    head, *rows = ("".join(piece.text for piece in line) for line in draw(model)[3:6])

    place = head.index("STATE")
    assert [beginning(row, place)[-2:] + row[len(beginning(row, place)) :][:7] for row in rows] == [
        "  running"
    ] * 2
    assert all(width_of(row) <= 80 for row in rows)
    assert [end(row, 3) for row in ("日本", "a日", "e\u0301a")] == ["本", "a日", "e\u0301a"]


def test_terminal_obeys_nothing_that_a_stranger_has_chosen() -> None:
    """No letter of a name or a reason is a control character on the screen."""
    evil = "\x1b]0;owned\x07\x9b2J\n"
    service = replace(STATE.services[0], name=evil, program=evil)
    state = replace(STATE, services=[service, *STATE.services[1:]])
    state = replace(state, server=replace(state.server, file=evil))
    model, _ = after(Model(), Heard(state, 100.0), Lost(evil), Key("enter"))
    worker = replace(BUSY, peer=evil, state=evil)
    model, _ = after(model, Listed((evil, ECHO[1]), (worker,)), Key("k"), Told(evil, is_done=True))

    for picture in (model, *(pressed(model, *keys)[0] for keys in (["n"], ["n", "escape"]))):
        assert all(letter.isprintable() for letter in text_of(picture).replace("\n", ""))


@pytest.mark.parametrize("keys", [(), ("enter",), ("?",), ("enter", "k"), ("/",)])
def test_small_terminal_has_what_matters(keys: tuple[str, ...]) -> None:
    """80 by 24 is enough for all columns that tell how full a service is."""
    model, _ = after(WATCHING, *(Key(key) for key in keys[:1]), LISTED)
    model, _ = pressed(model, *keys[1:])
    lines = text_of(model).split("\n")

    assert len(lines) == 24
    assert max(map(len, lines)) <= 80
    if not keys:
        assert all(head in lines[3] for head in ("STATE", "BUSY", "MAX", "QUEUE", "CONN/S"))


KEYS = "up down pageup pagedown home end enter escape left right < > r / k p ? y n a backspace"
EVENTS = st.one_of(
    st.sampled_from(KEYS.split()).map(Key),
    st.builds(Resized, st.integers(-1, 200), st.integers(-1, 60)),
    st.integers(0, 40).map(lambda count: Heard(many(count), 100.0 + count)),
    st.sampled_from([LISTED, Listed(ECHO, ()), Lost("gone"), Told("done", is_done=True)]),
    st.sampled_from(["SERVICE", "BUSY", "CONN/S", "CLIENT", "nothing"]).map(Sorted),
    st.integers(-9, 9).map(Wheeled),
    st.sampled_from([ECHO, WEB, ("s007", ECHO[1]), name_of(BUSY)]).map(Chosen),
)


@given(st.lists(EVENTS, max_size=30))
def test_screen_is_always_whole(events: list[Event]) -> None:
    """Whatever happens, the picture fits, the selected row is on it, and no click fails."""
    model = WATCHING
    for event in events:
        model, _ = step(model, event)
        lines = draw(model)
        assert len(lines) == model.height
        assert all(sum(len(piece.text) for piece in spans) <= model.width for spans in lines)
        rows = model.names
        if rows:
            assert model.view.selected == rows[model.view.place]
            assert 0 <= model.view.place - model.view.first < model.body_height
        meaning(lines, model.width // 2, model.height // 2)


def tracks_after(*samples: tuple[float, int, int]) -> Tracks:
    """Return the tracks after states: when, how many were accepted, how many were busy."""
    tracks: Tracks = {}
    for now, accepted, busy in samples:
        one = STATE.services[0].listeners[0]
        connections = replace(one.connections, accepted=accepted)
        one = replace(one, connections=connections, workers=replace(one.workers, busy=busy))
        tracks = heard(tracks, [(STATE.services[0], one)], now)
    return tracks


def test_rate_is_what_came_between_two_states() -> None:
    """One state has none; a counter that begins anew gives 0."""
    assert tracks_after((0.0, 5, 0))[ECHO].came_rate is None
    assert tracks_after((0.0, 5, 0), (2.0, 9, 0))[ECHO].came_rate == 2.0
    assert tracks_after((0.0, 5, 0), (2.0, 9, 0), (2.0, 9, 0))[ECHO].came_rate == 2.0
    assert tracks_after((0.0, 5, 0), (2.0, 0, 0))[ECHO].came_rate == 0.0


def test_chart_has_the_most_of_each_piece_of_time() -> None:
    """And nothing for one in which nobody has asked; it does not grow for ever."""
    pieces = ((0.0, 0, 3), (1.0, 0, 7), (2.0, 0, 1), (BUCKET_SECONDS * 3, 0, 2))
    assert tracks_after(*pieces)[ECHO].busy == (7, None, None, 2)
    long = tracks_after(*((n * BUCKET_SECONDS, 0, n) for n in range(300)))
    assert (len(long[ECHO].busy), long[ECHO].busy[-1]) == (120, 299)
    gone = tracks_after((0.0, 0, 1), (1e9, 0, 1))
    assert len(gone[ECHO].busy) == 120


def test_all_together_is_a_sum() -> None:
    """Of rates, of workers, and of the queues that are known."""
    rows = [(service, one) for service in STATE.services for one in service.listeners]
    track = heard({}, rows, 0.0)[ALL]
    assert (track.counts[0], track.busy, track.waiting) == (1303, (7,), (2,))
    unknown = [(service, replace(one, queue=None)) for service, one in rows]
    assert heard({}, unknown, 0.0)[ALL].waiting == (None,)


def test_chart_tells_nothing_from_little() -> None:
    """The present is at its right end; zero is the lowest bar, one of a thousand is not."""
    assert bars((0.0, 1.0, 1000.0, None, 500.0), 1000.0, 8) == "   ▁▂█ ▅"
    assert bars((1.0, 2.0, 3.0), 1.0, 2) == "▆█"
    assert bars((), 0.0, 3) == "   "
    assert bars((0.0,), 0.0, 1) == "▁"
