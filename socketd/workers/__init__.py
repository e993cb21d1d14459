"""Processes that wait for connections, what they are forked from, what they say of themselves."""
