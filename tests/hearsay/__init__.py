"""Attacks on the board of a running server."""
