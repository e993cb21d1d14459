"""Tests of `socketd explain`."""
