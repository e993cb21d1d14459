"""Settings as people write them: durations, counts, and the size of a pool."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketd.cli.given import refuse
from socketd.config.build import DEFAULT_MAXIMUM, Builder, Surroundings
from socketd.errors import UsageError
from socketd.pool.settings import Strategy
from socketd.settings.duration import parse_duration
from socketd.settings.kinds import BadValueError, Count
from socketd.settings.values import Values

_YEAR_SECONDS = 365 * 86400
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "": 1.0}
_ELASTIC = [one for one in Strategy if one is not Strategy.FIXED]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30.0),
        ("5m", 300.0),
        ("1.5h", 5400.0),
        ("250ms", 0.25),
        ("2d", 172800.0),
        ("7", 7.0),
        (".5s", 0.5),
        ("1ms", 0.001),
        (".001", 0.001),
        ("007s", 7.0),
        ("365d", _YEAR_SECONDS),
        ("8760h", _YEAR_SECONDS),
    ],
)
def test_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    """A number and one of ms, s, m, h, d; seconds where there is none."""
    assert parse_duration(text, "--idle-timeout") == seconds


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "s", "soon", "-1s", "+1s", "1 s", " 1s", "1s ", "1s\n", "1e3", "0x10", "1.s", "1.",
        ".", "1..5s", "1m30s", "1S", "1w", "nan", "inf", "٣s", "365.1d", "366d", "9" * 400 + "s",
        "0", "0ms", "0.0d", ".0", "0.9ms",
    ],
)  # fmt: skip
def test_anything_else_is_no_duration(text: str) -> None:
    """The error names the setting and the text, and gives an example."""
    expected = f"--idle-timeout: {text!r} is not a duration; .*, for example 30s, from 1ms to 365d"

    with pytest.raises(UsageError, match=expected.replace("\\", r"\\").replace("+", r"\+")):
        parse_duration(text, "--idle-timeout")


@given(st.integers(0, 365 * 1000), st.sampled_from(sorted(_UNITS)))
def test_every_whole_duration_within_a_year_is_understood(number: int, unit: str) -> None:
    """The value is number times unit, or an error for 0 and beyond a year, nothing else."""
    seconds = number * _UNITS[unit]
    text = f"{number}{unit}"
    if 0 < seconds <= _YEAR_SECONDS:
        assert parse_duration(text, "x") == pytest.approx(seconds)
    else:
        with pytest.raises(UsageError):
            parse_duration(text, "x")


@given(st.decimals(1, 300, places=3), st.sampled_from(sorted(_UNITS)))
def test_every_fraction_is_understood(number: object, unit: str) -> None:
    """Decimal fractions go with every unit."""
    assert parse_duration(f"{number}{unit}", "x") == pytest.approx(
        float(str(number)) * _UNITS[unit]
    )


@given(st.text())
def test_any_text_is_a_duration_or_a_usage_error(text: str) -> None:
    """Nothing that a user can type ends in another exception or in a value beyond the limits."""
    try:
        seconds = parse_duration(text, "x")
    except UsageError:
        return

    assert 0.001 <= seconds <= _YEAR_SECONDS


@pytest.mark.parametrize(("text", "count"), [("1", 1), ("9", 9), ("10", 10), ("007", 7)])
def test_count_is_a_whole_number_within_its_limits(text: str, count: int) -> None:
    """Both limits belong to the range."""
    assert Count(1, 10).read(text) == count


@pytest.mark.parametrize(
    "text", ["0", "11", "", "-1", "+1", "1.0", "1e0", " 1", "1\n", "x", "٣", "²", "1_0", "9" * 5000]
)
def test_anything_else_is_no_count(text: str) -> None:
    """No other digits, signs or blanks, however long the text is."""
    with pytest.raises(BadValueError):
        Count(1, 10).read(text)


@given(st.text() | st.integers().map(str))
def test_any_text_is_a_count_within_limits_or_a_usage_error(text: str) -> None:
    """Nothing that a user can type ends in another exception or in a value beyond the limits."""
    try:
        count = Count(-5, 1000).read(text)
    except BadValueError:
        return

    assert count == int(text)
    assert isinstance(count, int)
    assert count <= 1000


def sized(strategy: Strategy, minimum: int | None, maximum: int | None) -> tuple[int, int]:
    """Return the size of a pool. Raises SocketdError as a command line would word it."""
    given: dict[str, object] = {"workers.strategy": strategy.value}
    if minimum is not None:
        given["workers.min"] = minimum
    if maximum is not None:
        given["workers.max"] = maximum
    builder = Builder(Values(given), Surroundings({}))
    pool = builder.pool()
    refuse(builder.problems)
    return pool.minimum, pool.maximum


@pytest.mark.parametrize("strategy", _ELASTIC)
@pytest.mark.parametrize(
    ("minimum", "maximum", "size"),
    [
        (None, None, (1, DEFAULT_MAXIMUM)),
        (4, None, (4, DEFAULT_MAXIMUM)),
        (DEFAULT_MAXIMUM + 1, None, (DEFAULT_MAXIMUM + 1, DEFAULT_MAXIMUM + 1)),
        (4, 4, (4, 4)),
        (4, 9, (4, 9)),
        (None, 9, (1, 9)),
    ],
)
def test_elastic_pool_has_a_minimum_and_a_maximum(
    strategy: Strategy, minimum: int | None, maximum: int | None, size: tuple[int, int]
) -> None:
    """What is not given has a default, and a large minimum takes the maximum with it."""
    assert sized(strategy, minimum, maximum) == size


@pytest.mark.parametrize(
    ("minimum", "maximum", "size"),
    [(None, None, 1), (7, None, 7), (7, 7, 7), (300, None, 300), (None, 1, 1)],
)
def test_fixed_pool_has_one_size(minimum: int | None, maximum: int | None, size: int) -> None:
    """-W is both limits."""
    assert sized(Strategy.FIXED, minimum, maximum) == (size, size)


@pytest.mark.parametrize("maximum", [6, 8])
def test_fixed_pool_with_another_maximum_is_refused(maximum: int) -> None:
    """The contradiction is named, with the way out."""
    with pytest.raises(UsageError, match=rf"exactly as many .* \(7\), not {maximum}; leave it out"):
        sized(Strategy.FIXED, 7, maximum)


@pytest.mark.parametrize("strategy", _ELASTIC)
def test_maximum_below_the_minimum_is_refused(strategy: Strategy) -> None:
    """A pool cannot be smaller than its minimum."""
    with pytest.raises(UsageError, match="--max-workers: 3 is less than the 4 of -W"):
        sized(strategy, 4, 3)
