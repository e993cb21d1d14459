"""What is known of a program's levels as long as its files stay as they are.

Owns which levels are not worth another try, and which reasons have been told. Must not know what
the files are, nor any template.

A level that a program cannot be held at stays impossible until the program is another one. It would
cost its clients a wait, and its log a line, at each renewal and each reload.
"""

from socketd.settings.readiness import ReadyLevel


class TemplateMemory:
    """The memory of one listener of a service; it outlives its templates, and reloads."""

    def __init__(self) -> None:
        self._files: object = None
        self._reasons: dict[ReadyLevel, str] = {}
        self._lesser = ""
        self._told: set[tuple[ReadyLevel, tuple[str, ...]]] = set()

    def meet(self, files: object) -> None:
        """Forget everything if the program is not what it was; any value stands for its files."""
        if files != self._files:
            self._files = files
            self._reasons.clear()
            self._told.clear()

    def note(self, level: ReadyLevel, reason: str) -> None:
        """Take note that the program cannot be held at a level."""
        self._reasons[level] = reason

    def reason(self, level: ReadyLevel) -> str | None:
        """Return why a level need not be tried, None if it has to be."""
        return self._reasons.get(level)

    def is_news(self, level: ReadyLevel, reasons: tuple[str, ...]) -> bool:
        """Tell whether it has not been told yet why a level serves that is not the wanted one."""
        if not reasons:
            self._told.clear()
            return False
        is_new = (level, reasons) not in self._told
        self._told.add((level, reasons))
        return is_new

    def regained(self, reasons: tuple[str, ...]) -> str:
        """Return why a lower level than wanted has served, if now that is over; else "".

        It is not forgotten with the files: what ends it is most often another file.
        """
        former, self._lesser = self._lesser, "; ".join(reasons)
        return "" if reasons else former
