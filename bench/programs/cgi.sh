#!/bin/sh
# The smallest CGI program that says something of its request; no other program is started for it.
printf 'Content-Type: text/plain\r\n\r\n%s\n' "$QUERY_STRING"
