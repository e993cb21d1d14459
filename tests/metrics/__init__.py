"""Tests of what a server tells over HTTP."""
