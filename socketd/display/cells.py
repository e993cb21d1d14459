"""How many cells of a terminal a text takes: letters of some scripts take two, accents none.

Owns that, and where a text is cut. Must not know what is shown.
"""

_TWO = ("W", "F")
_NONE = ("Mn", "Me", "Cf")


def width_of(text: str) -> int:
    """Return how many cells a text takes."""
    return len(text) if text.isascii() else sum(map(_width_of, text))


def beginning(text: str, most: int) -> str:
    """Return as much of its beginning as there are cells for."""
    if text.isascii():
        return text[: max(0, most)]
    kept = []
    for letter in text:
        most -= _width_of(letter)
        if most < 0:
            break
        kept.append(letter)
    return "".join(kept)


def end(text: str, most: int) -> str:
    """Return as much of its end as there are cells for."""
    return beginning(text[::-1], most)[::-1]


def _width_of(letter: str) -> int:
    import unicodedata  # which most servers give nobody a reason for

    if unicodedata.east_asian_width(letter) in _TWO:
        return 2
    return 0 if unicodedata.category(letter) in _NONE else 1
