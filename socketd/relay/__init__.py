"""Bytes between a connection and two descriptors, and the client."""
