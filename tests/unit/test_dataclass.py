"""Our dataclasses: they behave as those of the standard library do, and are no less to it."""

import dataclasses
from types import ModuleType
from typing import Any

import msgspec
import pytest

import socketd.dataclass as lean


def of(provider: ModuleType, *, frozen: bool) -> tuple[type[Any], type[Any], type[Any]]:
    """Return three classes made by the standard library or by us."""
    make = provider.dataclass(frozen=frozen, slots=True)

    class Sized:
        """One with a default and a method."""

        name: str
        size: int = 3

        def doubled(self) -> int:
            """Return something that needs a field."""
            return self.size * 2

    class Listing:
        """One whose default is each object's own."""

        entries: list[str] = provider.field(default_factory=list)

    class Nothing:
        """One without fields, as some events are."""

    return make(Sized), make(Listing), make(Nothing)


@pytest.fixture(params=[True, False], ids=["frozen", "mutable"])
def is_frozen(request: pytest.FixtureRequest) -> bool:
    """Return whether classes are frozen."""
    return bool(request.param)


def facts(provider: ModuleType, *, frozen: bool) -> dict[str, object]:
    """Return what can be seen of classes and their objects."""
    sized, listing, nothing = of(provider, frozen=frozen)
    one, same, other = sized("a"), sized(name="a", size=3), sized("a", 4)
    return {
        "values": (one.name, one.size, other.size, one.doubled()),
        "equal": (one == same, one == other, one != other, one == ("a", 3), nothing() == nothing()),
        "hash": [hash(one) == hash(same), hash(nothing()) == hash(nothing())] if frozen else [],
        "text": (repr(one), repr(nothing()), repr(listing())),
        "own defaults": listing().entries is not listing().entries,
        "match": sized.__match_args__,
        "names": (sized.__name__, sized.__qualname__, sized.__module__, sized.__doc__),
        "slots": (sized.__slots__, hasattr(one, "__dict__")),
        "fields": [(field.name, field.type) for field in dataclasses.fields(sized)],
        "default": [dataclasses.fields(sized)[1].default, dataclasses.fields(listing)[0].name],
        "is one": (dataclasses.is_dataclass(one), dataclasses.is_dataclass(nothing)),
        "copies": (provider.replace(one, size=5), dataclasses.replace(one, name="b"))
        == (
            sized("a", 5),
            sized("b"),
        ),
        "as dict": (dataclasses.asdict(one), dataclasses.asdict(listing(["x"]))),
    }


def test_they_are_like_those_of_the_standard_library(is_frozen: bool) -> None:
    """Whatever the package makes of them gives the same with both."""
    assert facts(lean, frozen=is_frozen) == facts(dataclasses, frozen=is_frozen)


@pytest.mark.parametrize("arguments", [(), ("a", 1, 2), ("a", 1)])
def test_wrong_arguments_are_refused_in_the_same_words(
    arguments: tuple[object, ...], is_frozen: bool
) -> None:
    """Too few, too many and unknown ones, also at the first object, which compiles the rest."""
    complaints = []
    for provider in (lean, dataclasses):
        sized, _, _ = of(provider, frozen=is_frozen)
        with pytest.raises(TypeError) as complaint:
            sized(*arguments, **({"unknown": 1} if len(arguments) == 2 else {}))
        complaints.append(str(complaint.value))

    assert complaints[0] == complaints[1]


def test_frozen_one_cannot_be_changed() -> None:
    """Neither by an assignment nor by del, to a field or to anything else."""
    sized, _, _ = of(lean, frozen=True)
    one = sized("a")

    with pytest.raises(AttributeError, match="cannot assign to field 'name'"):
        one.name = "b"
    with pytest.raises(AttributeError, match="cannot delete field 'name'"):
        del one.name
    with pytest.raises(AttributeError, match="cannot assign to field 'other'"):
        one.other = "b"
    assert one.name == "a"


def test_mutable_one_can_be_changed_and_has_no_hash() -> None:
    """It may be assigned to, but only to a field."""
    sized, _, _ = of(lean, frozen=False)
    one = sized("a")
    one.name = "b"

    assert one == sized("b")
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)
    with pytest.raises(AttributeError):
        one.other = "b"


def test_state_for_the_next_version_can_be_made_of_them(is_frozen: bool) -> None:
    """Msgspec knows their fields and defaults."""
    sized, _, _ = of(lean, frozen=is_frozen)

    assert msgspec.to_builtins(sized("a", 4)) == {"name": "a", "size": 4}
    assert msgspec.convert({"name": "a"}, sized) == sized("a")
    with pytest.raises(msgspec.ValidationError, match=r"Expected `int`, got `str` - at `\$.size`"):
        msgspec.convert({"name": "a", "size": "b"}, sized)


def test_what_is_not_provided_for_is_refused() -> None:
    """A dataclass without slots would behave otherwise than its author expects."""
    with pytest.raises(TypeError, match="without slots"):
        lean.dataclass(slots=False)
