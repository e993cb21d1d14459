"""The two text formats in which Prometheus reads metrics, and which one a request asks for.

Owns both formats, and what may stand in a label. Must not know what is measured.

Sources: https://prometheus.io/docs/instrumenting/exposition_formats/ and OpenMetrics 1.0. A sample
is the same line in both; they differ in what stands before the samples of a family. The package
prometheus_client writes the same and takes six times as long, mostly to sort and escape the labels
of each sample again: with 500 services it would be a quarter of a second for each scrape.
"""

from collections.abc import Iterable, Iterator

from socketd.dataclass import dataclass, field

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_OPENMETRICS = "application/openmetrics-text"

# In the older format the suffix of a sample is part of the family's name, and info is no type.
_SUFFIXES = {"counter": "_total", "info": "_info"}
_LABELS = "\0"  # their place in a block; no sample has such a character
_OLDER_KINDS = {"info": "gauge"}


@dataclass(frozen=True, slots=True)
class Family:
    """All samples of a name, each a whole line; `name` is without the suffix of its kind."""

    name: str
    kind: str
    meaning: str
    lines: list[str] = field(default_factory=list)

    @property
    def sample(self) -> str:
        """Return the name of a sample; those of a histogram have their own suffixes."""
        return self.name + _SUFFIXES.get(self.kind, "")

    def add(self, labels: str, value: float) -> None:
        """Add a sample; `labels` may be empty."""
        braced = f"{{{labels}}}" if labels else ""
        self.lines.append(f"{self.sample}{braced} {value}\n")

    def add_all(self, samples: Iterable[tuple[str, float | None]]) -> None:
        """Add samples with labels, but for those without a value."""
        begun = f"{self.sample}{{"
        self.lines.extend(
            [f"{begun}{labels}}} {value}\n" for labels, value in samples if value is not None]
        )

    def add_block(self, block: str, labels: str, values: tuple[float, ...]) -> None:
        """Add the samples of a block of this family in one step: that takes half the time."""
        self.lines.append((block % values).replace(_LABELS, labels))

    def block(self, label: str, words: Iterable[str]) -> str:
        """Return samples that differ in one label, without the labels before it and the values."""
        begun = f"{self.sample}{{{_LABELS},"
        each = (labelled(**{label: one}).replace("%", "%%") for one in words)
        return "".join(f"{begun}{one}}} %s\n" for one in each)

    def histogram_block(self, bounds: Iterable[float]) -> str:
        """Return the samples of a histogram: its counts, their number and their sum are missing."""
        buckets = "".join(
            f'{self.name}_bucket{{{_LABELS},le="{bound}"}} %d\n' for bound in (*bounds, "+Inf")
        )
        return f"{buckets}{self.name}_count{{{_LABELS}}} %d\n{self.name}_sum{{{_LABELS}}} %s\n"


def labelled(**labels: str) -> str:
    """Return labels as they stand in a sample, whatever characters their values have."""
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def as_text(families: Iterable[Family]) -> Iterator[str]:
    """Yield the older of the formats. A family without samples is left out of both."""
    for family in families:
        if family.lines:
            kind = _OLDER_KINDS.get(family.kind, family.kind)
            yield _head(family.sample, kind, family.meaning) + "".join(family.lines)


def as_openmetrics(families: Iterable[Family]) -> Iterator[str]:
    """Yield OpenMetrics."""
    for family in families:
        if family.lines:
            yield _head(family.name, family.kind, family.meaning) + "".join(family.lines)
    yield "# EOF\n"


def is_openmetrics_wanted(accept: str) -> bool:
    """Tell whether the value of an Accept field names OpenMetrics, and does not refuse it."""
    for part in accept.split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if kind == _OPENMETRICS:
            return not is_refused(parameters)
    return False


def is_refused(parameters: Iterable[str]) -> bool:
    """Tell whether the parameters of an alternative weigh it with nothing: q=0."""
    weights = [one.partition("=")[2].strip() for one in parameters if one.startswith("q=")]
    return any(weight.strip("0.") == "" for weight in weights)


def _head(name: str, kind: str, meaning: str) -> str:
    return f"# HELP {name} {meaning}\n# TYPE {name} {kind}\n"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
