"""How much a run tests: what a developer waits for, or all, as continuous integration does."""

import os
from typing import TypeVar

# Set by .ci/run. Nothing is tested in one way that is not tested in the other: it is how often and
# with how many bytes, and which of the products of one source.
IS_FULL = bool(os.environ.get("SOCKETD_FULL"))

# Set there as well: a test that skips for want of a peer fails the run.
REQUIRE_PEERS = "SOCKETD_REQUIRE_PEERS"
ARE_PEERS_REQUIRED = bool(os.environ.get(REQUIRE_PEERS))

Amount = TypeVar("Amount")


def by_extent(usual: Amount, full: Amount) -> Amount:
    """Return an amount: the first for `make test` alone, the second with SOCKETD_FULL=1."""
    return full if IS_FULL else usual
