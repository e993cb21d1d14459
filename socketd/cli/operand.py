"""The operand of `socket -s` and the settings of its listener as an address.

Owns which address they are together. Must not know how somebody listens there.
"""

from socketd.cli.given import refuse
from socketd.cli.options import CommandLine
from socketd.config.listening import completed, misplaced, untimed
from socketd.settings.address import Address, InheritedAddress, UnixAddress, parse_operand
from socketd.settings.values import Values
from socketd.system.directory import absolute


def listening_address(line: CommandLine, values: Values) -> Address:
    """Return where to listen; without an operand that is a socket that was passed.

    Raises UsageError.
    """
    address = _address(line)
    refuse([*misplaced(address, values), *untimed([address], values)])
    return completed(address, values, None)


def _address(line: CommandLine) -> Address:
    if not line.operands:
        return InheritedAddress("")
    address = parse_operand(line.operands[0], line.values.get("bind"))
    if isinstance(address, UnixAddress) and line.has("background"):  # which changes the directory
        address = UnixAddress(absolute(address.path))
    return address
