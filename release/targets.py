"""What a release has wheels for: the processors and libcs, and how each is compiled for.

Owns the table. Must not know how a wheel is made of it.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """A platform of a wheel.

    `platform` is the tag of a wheel for it, `triple` what the compiler calls it. The programs are
    static and the same for every libc; the object that is loaded into other programs is made for
    the libc of those.
    """

    processor: str
    platform: str
    triple: str

    @property
    def programs_triple(self) -> str:
        """Return what the compiler calls the platform of static programs."""
        return f"{self.processor}-linux-musl"


def _targets(processor: str) -> tuple[Target, ...]:
    return (
        # The oldest libc of a system that is still kept, and that has all functions of the object.
        Target(processor, f"manylinux_2_28_{processor}", f"{processor}-linux-gnu.2.28"),
        Target(processor, f"musllinux_1_2_{processor}", f"{processor}-linux-musl"),
    )


TARGETS = (*_targets("x86_64"), *_targets("aarch64"))
