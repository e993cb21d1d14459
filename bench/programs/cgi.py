"""A CGI program as it is written with the standard library, small as it is."""

import html
import os
import sys
from urllib.parse import parse_qsl

query = os.environ.get("QUERY_STRING", "")
shown = html.escape(repr(parse_qsl(query, keep_blank_values=True)))
sys.stdout.write(f"Content-Type: text/plain\r\n\r\n{query}\n{shown}\n")
