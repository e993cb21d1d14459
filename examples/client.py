"""Send stdin to a server, half-close, print the reply: `client.py HOST PORT`."""

import shutil
import socket
import sys

with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
    connection.sendall(sys.stdin.buffer.read())
    connection.shutdown(socket.SHUT_WR)
    with connection.makefile("rb") as reply:
        shutil.copyfileobj(reply, sys.stdout.buffer)
