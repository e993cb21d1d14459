#!/usr/bin/env python3
"""A page that shows what a CGI program sees: its request, its body, its process.

It runs behind whatever runs CGI programs. Held at `stop`, it can tell that it is a copy: what it
imports at its top was imported in another process, before anybody had asked for the page.

    socketd cgi --scgi /run/socketd/cgi.sock page.py
"""

import html
import os
import sys
import time
from urllib.parse import parse_qs

import birthplace

MOST_TEXT = 10_000  # of a form; more of a body is counted only

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --accent: #0a6; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .25rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
code, td, textarea { font-family: ui-monospace, monospace; font-size: .9rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.5rem; margin: 1rem 0; }
dt { opacity: .7; }
dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; }
tr { border-top: 1px solid var(--line); }
tr:nth-child(even) { background: var(--soft); }
th { font-weight: normal; white-space: nowrap; width: 1%; font-family: ui-monospace, monospace;
  font-size: .9rem; }
td { overflow-wrap: anywhere; }
blockquote { margin: 1rem 0; padding: .5rem 1rem; border-left: .25rem solid var(--accent);
  background: var(--soft); white-space: pre-wrap; overflow-wrap: anywhere; }
textarea { width: 100%; box-sizing: border-box; padding: .5rem; }
button { font: inherit; margin-top: .5rem; padding: .4rem 1.2rem; }
.none { opacity: .5; }
@media (max-width: 40rem) {
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .5rem; }
  th, td { display: block; width: auto; }
  th { padding-bottom: 0; opacity: .7; }
  td { padding-top: 0; }
}
"""

GROUPS = {
    "The request": ("REQUEST_", "SCRIPT_", "PATH_", "QUERY_", "CONTENT_", "DOCUMENT_", "HTTPS"),
    "Its headers": ("HTTP_",),
    "The client": ("REMOTE_", "AUTH_", "TCPREMOTE", "IPCREMOTE"),
    "The server": ("SERVER_", "GATEWAY_", "SCGI", "FCGI", "TCPLOCAL", "IPCLOCAL", "PROTO"),
}


def read_body() -> tuple[int, bytes]:
    """Read the whole body, before anything is answered; return its size and its beginning."""
    expected = int(os.environ.get("CONTENT_LENGTH") or 0)
    size, beginning = 0, b""
    while size < expected:
        part = os.read(0, min(65536, expected - size))
        if not part:
            break
        size += len(part)
        beginning += part[: MOST_TEXT - len(beginning)]
    return size, beginning


def age_seconds() -> float:
    """Return for how long this process has been there, most of it in wait for this request."""
    with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
        started_ticks = int(file.read().rpartition(")")[2].split()[19])
    since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    return max(0.0, since_boot - started_ticks / os.sysconf("SC_CLK_TCK"))


def origin() -> str:
    """Tell where the interpreter was started."""
    if os.getpid() == birthplace.PID:
        return "for this request: no other process has imported anything for it"
    return f"ahead, in process {birthplace.PID}, of which this process is a copy"


def facts(body_size: int) -> str:
    """Return the list of what the page knows of itself."""
    listed = {
        "Method": os.environ.get("REQUEST_METHOD", "none"),
        "Body": f"{body_size} bytes",
        "Process": f"{os.getpid()}, user {os.geteuid()}, there for {age_seconds():.2f} s",
        "Interpreter": f"started {origin()}",
        "Folder": os.getcwd(),
    }
    rows = "\n".join(
        f'<dt>{name}</dt><dd id="{name.lower()}">{html.escape(text)}</dd>'
        for name, text in listed.items()
    )
    return f"<dl>\n{rows}\n</dl>"


def tables() -> str:
    """Return the environment, in groups."""
    left = {
        name.decode(errors="replace"): value.decode(errors="replace")
        for name, value in sorted(os.environb.items())
    }
    parts = []
    for title, beginnings in (*GROUPS.items(), ("The rest", ("",))):
        chosen = [name for name in left if name.startswith(beginnings)]
        rows = [row(name, left.pop(name)) for name in chosen]
        if rows:
            parts.append(f"<h2>{title}</h2>\n<table>\n{''.join(rows)}</table>")
    return "\n".join(parts)


def row(name: str, value: str) -> str:
    """Return one variable."""
    shown = html.escape(value) if value else '<span class="none">empty</span>'
    return f'<tr><th scope="row">{html.escape(name)}</th><td>{shown}</td></tr>\n'


def said(beginning: bytes) -> str:
    """Return what the form has sent, if it has sent something."""
    if not os.environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        return ""
    words = parse_qs(beginning.decode(errors="replace")).get("words", [""])[0]
    return f"<p>You said:</p>\n<blockquote>{html.escape(words)}</blockquote>" if words else ""


def main() -> None:
    """Answer."""
    body_size, beginning = read_body()
    page = f"""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>What a CGI program sees</title>
<style>{STYLE}</style>
<h1>What a CGI program sees</h1>
<p>Everything below was made for this one request, by a process that ends with it.</p>
{facts(body_size)}
{said(beginning)}
<form method="post">
<label for="words">Send a body along:</label>
<textarea id="words" name="words" rows="3" required></textarea>
<button>Send</button>
</form>
{tables()}
</html>
"""
    content = page.encode("utf-8", errors="replace")
    head = (
        "Content-Type: text/html; charset=utf-8\r\n"
        f"Content-Length: {len(content)}\r\n"
        "Cache-Control: no-store\r\n"
        "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'\r\n"
        "X-Content-Type-Options: nosniff\r\n\r\n"
    )
    sys.stdout.buffer.write(head.encode() + content)


main()
