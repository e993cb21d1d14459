"""Metrics of a state: the formats as others read them, names, labels, numbers."""

import re
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from harness.controls import example
from socketd.control.document import State
from socketd.metrics.exposition import as_openmetrics, as_text, is_openmetrics_wanted, labelled
from socketd.metrics.families import families

ROOT = Path(__file__).parents[2]
Sample = tuple[str, tuple[tuple[str, str], ...]]


def state_of(document: object) -> State:
    """Return a document as a server means it."""
    return msgspec.convert(document, type=State)


def text_of(state: State) -> str:
    """Return the metrics of a state in the older format."""
    return "".join(as_text(families(state)))


def samples(text: str) -> dict[Sample, float]:
    """Return the samples of a text in the older format, as Prometheus's own package reads them."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in read_text(text)
        for sample in family.samples
    }


def names(text: str) -> set[str]:
    """Return the names of the families, without those of a sample's suffix."""
    return set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))


def test_formats_have_the_same_samples() -> None:
    """Both formats are read by the package of Prometheus, and have the same samples."""
    state = state_of(example())
    older = samples(text_of(state))
    newer = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in read_openmetrics("".join(as_openmetrics(families(state))))  # type: ignore[no-untyped-call]  # theirs
        for sample in family.samples
    }

    assert older == newer
    assert len(older) > 100


def test_numbers_are_those_of_the_state() -> None:
    """Each sample has the labels of its listener, and the number that the state has."""
    document = example()
    echo = document["services"][0]["listeners"][0]
    found = samples(text_of(state_of(document)))

    def of(name: str, **labels: str) -> float:
        labels |= {"service": "echo", "listener": "tcp:127.0.0.1:7000"}
        return found[(name, tuple(sorted(labels.items())))]

    assert of("socketd_workers", state="idle") == echo["workers"]["idle"]
    assert of("socketd_workers_max") == echo["workers"]["max"]
    assert of("socketd_queue_limit") == echo["queue"]["limit"]
    assert of("socketd_connections_total") == echo["connections"]["accepted"]
    assert of("socketd_connections_closed_total", result="signal") == 2
    assert of("socketd_refused_total", reason="denied") == 4
    assert of("socketd_listener_state", state="running") == 1
    assert of("socketd_listener_state", state="crashed") == 0
    assert of("socketd_worker_busy_seconds_total") == echo["busy_seconds"]
    duration = echo["connections"]["duration_seconds"]
    assert of("socketd_connection_duration_seconds_bucket", le="0.005") == duration["counts"][0]
    assert of("socketd_connection_duration_seconds_bucket", le="+Inf") == duration["counts"][-1]
    assert of("socketd_connection_duration_seconds_count") == duration["counts"][-1]
    assert of("socketd_connection_duration_seconds_sum") == duration["sum"]
    assert of("socketd_ready_level_as_wanted") == 1
    assert of("socketd_back_off_seconds") == 0


def test_what_is_not_known_has_no_sample() -> None:
    """A queue that the kernel does not tell is no queue of length 0; nor has no level a sample."""
    document = example()
    for service in document["services"]:
        for listener in service["listeners"]:
            listener["queue"] = None
            listener["level"]["had"] = None
            listener["template"]["age_seconds"] = None
    found = names(text_of(state_of(document)))

    assert not found & {"socketd_queue_length", "socketd_ready_level_as_wanted"}
    assert "socketd_template_age_seconds" not in found


def test_auto_is_as_wanted_at_any_level() -> None:
    """Who leaves the choice to auto has no alert for what it has chosen; who has asked does."""
    document = example()
    for is_auto in (True, False):
        level = {"wanted": "load", "had": "fork", "reason": "it is static", "is_auto": is_auto}
        document["services"][0]["listeners"][0]["level"] = level
        labels = (("listener", "tcp:127.0.0.1:7000"), ("service", "echo"))
        found = samples(text_of(state_of(document)))
        assert found[("socketd_ready_level_as_wanted", labels)] == is_auto


def test_names_of_strangers_stay_in_their_label() -> None:
    """Whatever stands in a name ends neither its label nor its line."""
    name = 'a"} 1\nsocketd_evil 1\\'
    document = example()
    service = document["services"][0]
    service["program"], service["name"] = name, "a%s\0b"
    service["listeners"][0]["refused"]["100 %d"] = 3
    found = samples(text_of(state_of(document)))

    of_services = [labels for key, labels in found if key == "socketd_service_info"]
    assert ("program", name) in of_services[0]
    refused = [dict(labels) for key, labels in found if key == "socketd_refused_total"]
    assert ("a%s\0b", "100 %d") in [(one["service"], one["reason"]) for one in refused]
    assert labelled(a="\\n") == r'a="\\n"'


def test_no_label_is_of_a_process() -> None:
    """There is a series for each listener, and none that comes and goes with a process."""
    allowed = {
        "service", "listener", "state", "result", "limit", "reason", "le", "wanted", "had",
        "program", "front", "version", "python",
    }  # fmt: skip
    found = samples(text_of(state_of(example())))

    assert {label for _, labels in found for label, _ in labels} == allowed


def test_promtool_has_nothing_to_object_to() -> None:
    """`promtool check metrics` finds names, units and texts as they should be."""
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=text_of(state_of(example())),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_document_has_a_row_for_each_metric() -> None:
    """docs/monitoring.md has name, kind, labels and meaning of each metric, in order."""
    document = example()
    favourite = {"program": "/srv/cgi/a", "idle": 1, "busy": 0}
    document["services"][1]["listeners"][0]["favourites"] = [favourite]
    page = (ROOT / "docs" / "monitoring.md").read_text()
    rows = re.findall(r"^\| `(socketd_\w+)` \| (\w+) \| ([\w, ]*)\| (.+) \|$", page, re.MULTILINE)
    wanted = []
    for family in families(state_of(document)):
        labels = re.findall(r'(\w+)="', family.lines[0].removeprefix(family.sample))
        meaning = family.meaning[0].lower() + family.meaning.removesuffix(".")[1:]
        wanted.append((family.sample, family.kind, {*labels} - {"le"}, meaning))

    assert [(row[0], row[1], {*row[2].replace(",", "").split()}, row[3]) for row in rows] == wanted


@pytest.mark.parametrize(
    ("accept", "is_wanted"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", False),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2", True),
        ("text/plain, application/OpenMetrics-Text ; q=0.0", False),
    ],
)
def test_openmetrics_is_for_who_names_it(accept: str, is_wanted: bool) -> None:
    """Only a request whose Accept names OpenMetrics gets it."""
    assert is_openmetrics_wanted(accept) is is_wanted
