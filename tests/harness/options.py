"""A program that says what options its connection has."""

TELL = """import socket
s = socket.socket(fileno=0)
t = socket.IPPROTO_TCP
print(s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), s.getsockopt(t, socket.TCP_KEEPIDLE),
      s.getsockopt(t, socket.TCP_KEEPINTVL), s.getsockopt(t, socket.TCP_KEEPCNT),
      s.getsockopt(t, socket.TCP_USER_TIMEOUT), s.getsockopt(t, socket.TCP_NODELAY), flush=True)
s.detach()
"""
