"""Link-local addresses, fe80::/10: they exist on every link, so they need an interface.

Owns the rule for them, by RFC 4291 (2.5.6) and RFC 4007. Must not know sockets. This module is on
the path of client mode, which pays for every import.
"""

_FIRST_DIGITS = ("fe8", "fe9", "fea", "feb")
ADVICE = "an address of one link needs its interface, as in fe80::1%eth0"


def is_without_interface(address: tuple[object, ...]) -> bool:
    """Tell whether a resolved address is of one link and does not say of which."""
    host, *rest = address
    return isinstance(host, str) and host.startswith(_FIRST_DIGITS) and rest[2:] == [0]
