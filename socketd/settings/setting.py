"""What a row of the table of settings says.

Owns the fields of a row and the names of the front ends. Must not know which settings there are.
"""

TYPE_CHECKING = False  # typing's, without typing
if TYPE_CHECKING:
    from socketd.settings.kinds import Kind

FILE = "file"
SOCKET = "socket"
CGI = "cgi"
EXPLAIN = "explain"
ALL = "file socket cgi"
OF_A_PROGRAM = "file socket cgi explain"


class Setting:
    """One setting.

    `default` is a value of its kind, or None. `usual` describes the default in words where it is
    None or depends on something. `since` is the version that introduced the setting.
    """

    __slots__ = (
        "default", "key", "kind", "letter", "meaning", "metavar", "offers", "option", "since",
        "usual",
    )  # fmt: skip

    def __init__(
        self,
        key: str,
        kind: "Kind",
        meaning: str,
        *,
        metavar: str = "",
        option: str = "",
        letter: str = "",
        default: object = None,
        usual: str = "",
        offers: str = ALL,
        since: str = "2.0",
    ) -> None:
        self.key = key
        self.kind = kind
        self.meaning = meaning
        self.metavar = metavar
        self.option = option or self.name.replace("_", "-")
        self.letter = letter
        self.default = default
        self.usual = usual
        self.offers = frozenset(offers.split())
        self.since = since

    @property
    def name(self) -> str:
        """Return the key within its table."""
        return self.key.rpartition(".")[2]

    @property
    def table(self) -> str:
        """Return the table of its key, empty for that of the service itself."""
        return self.key.rpartition(".")[0]
