"""The native template and its workers, driven without the real master."""
