"""The control socket: what a server says of itself, and what it can be told."""
