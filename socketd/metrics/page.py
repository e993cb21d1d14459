"""The page: one file, and what a browser may do with it.

Owns the file and its policy. Must not know what is on the page.

The policy names the one script and the one style of the page by their digests. So nothing else
runs in it, whatever a service or a client is called, and it can ask nobody but us.
"""

import base64
import hashlib
import os
import re

_PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "page.html")
_POLICY = (
    "default-src 'none'; script-src '{script}'; style-src '{style}'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def load() -> tuple[bytes, str]:
    """Return the page, and its Content-Security-Policy."""
    with open(_PATH, "rb") as file:
        text = file.read()
    return text, _POLICY.format(script=_digest(text, b"script"), style=_digest(text, b"style"))


def _digest(text: bytes, tag: bytes) -> str:
    """Return what a policy calls the only element of a kind."""
    contents: list[bytes] = re.findall(b"<%b>(.*?)</%b>" % (tag, tag), text, re.DOTALL)
    [content] = contents
    return "sha256-" + base64.b64encode(hashlib.sha256(content).digest()).decode()
