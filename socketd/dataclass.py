"""Dataclasses that cost next to nothing at the start.

Owns `dataclass`, `field` and `replace` as far as the package uses those of the standard library:
with slots, frozen or not, without inheritance. They behave the same, and a type checker takes them
for the same. Must not know what is kept in them.

The module dataclasses imports inspect, and compiles six methods for each class: for our hundred
classes that was more than half of a server's start. Here one method is compiled, and not before the
first object is made; the others are closures. Where something asks for the fields (msgspec, the
functions of the module dataclasses), the standard library makes them.
"""

from operator import attrgetter

TYPE_CHECKING = False  # typing's, without typing
if TYPE_CHECKING:
    from collections.abc import Callable

_OF_PLAIN_CLASSES = ("__dict__", "__weakref__")  # what a class without slots has beside its body


class _Factory:
    """A default that is made anew for each object."""

    __slots__ = ("make",)

    def __init__(self, make: "Callable[[], object]") -> None:
        self.make = make


class _Fields:
    """`__dataclass_fields__` of a class, made when somebody asks for it."""

    __slots__ = ("_defaults", "_plain")

    def __init__(self, plain: type, defaults: dict[str, object]) -> None:
        self._plain = plain
        self._defaults = defaults

    def __get__(self, instance: object, owner: type) -> object:
        import dataclasses

        for name, default in self._defaults.items():
            if isinstance(default, _Factory):
                setattr(self._plain, name, dataclasses.field(default_factory=default.make))
        fields = dataclasses.dataclass(self._plain).__dataclass_fields__  # type: ignore[attr-defined]  # made here
        owner.__dataclass_fields__ = fields  # type: ignore[attr-defined]  # in place of this object
        return fields


def _dataclass(*, slots: bool, frozen: bool = False) -> "Callable[[type], type]":
    """Return what makes a class with slots for its annotations out of a plain one."""
    if not slots:
        raise TypeError("dataclasses without slots are not provided for")
    return _make_frozen if frozen else _make_mutable


def _make_frozen(plain: type) -> type:
    return _make(plain, {"__setattr__": _refuse_to_set, "__delattr__": _refuse_to_delete})


def _make_mutable(plain: type) -> type:
    return _make(plain, {"__hash__": None})


def _make(plain: type, methods: dict[str, object]) -> type:
    names = tuple(plain.__annotations__)
    body = {name: value for name, value in vars(plain).items() if name not in _OF_PLAIN_CLASSES}
    defaults = {name: body.pop(name) for name in names if name in body}
    values = attrgetter(*names) if names else _no_values

    def __init__(self: object, *arguments: object, **named: object) -> None:  # noqa: N807
        initialise = _compile_init(made, names, defaults)
        type.__setattr__(made, "__init__", initialise)  # in place of this one
        initialise(self, *arguments, **named)

    def __eq__(self: object, other: object) -> bool:  # noqa: N807
        return values(self) == values(other) if type(other) is made else NotImplemented

    def __hash__(self: object) -> int:  # noqa: N807
        return hash(values(self))

    def __repr__(self: object) -> str:  # noqa: N807
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{made.__qualname__}({shown})"

    own = {
        "__qualname__": plain.__qualname__,
        "__slots__": names,
        "__match_args__": names,
        "__dataclass_fields__": _Fields(plain, defaults),
        "__init__": __init__,
        "__eq__": __eq__,
        "__hash__": __hash__,
        "__repr__": __repr__,
    }
    made: type = type(plain)(plain.__name__, plain.__bases__, own | methods | body)
    return made


def _compile_init(
    made: type, names: tuple[str, ...], defaults: dict[str, object]
) -> "Callable[..., None]":
    """Return the constructor; it fills the slots themselves, also where nobody else may."""
    known: dict[str, object] = {f"_set_{name}": getattr(made, name).__set__ for name in names}
    parameters, steps = ["self"], [" pass"]
    for name in names:
        value = name
        if name in defaults:
            known[f"_default_{name}"] = defaults[name]
            parameters.append(f"{name}=_default_{name}")
            if isinstance(defaults[name], _Factory):
                value = f"_default_{name}.make() if {name} is _default_{name} else {name}"
        else:
            parameters.append(name)
        steps.append(f" _set_{name}(self, {value})")
    exec("\n".join([f"def __init__({', '.join(parameters)}):", *steps]), known)  # noqa: S102  our own text
    init: Callable[..., None] = known["__init__"]  # type: ignore[assignment]  # just defined
    init.__qualname__ = f"{made.__qualname__}.__init__"
    return init


def _no_values(_: object) -> object:
    return ()


def _refuse_to_set(_: object, name: str, value: object) -> None:  # noqa: ARG001  __setattr__'s
    raise AttributeError(f"cannot assign to field {name!r}")


def _refuse_to_delete(_: object, name: str) -> None:
    raise AttributeError(f"cannot delete field {name!r}")


def _field(*, default_factory: "Callable[[], object]") -> object:
    """Return what stands for a default that is made anew for each object."""
    return _Factory(default_factory)


def _replace(value: object, **changes: object) -> object:
    """Return a copy of an object with some of its fields changed."""
    kept = {name: getattr(value, name) for name in type(value).__match_args__}  # type: ignore[attr-defined]  # a dataclass
    return type(value)(**kept | changes)


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import replace as replace
else:
    dataclass, field, replace = _dataclass, _field, _replace
