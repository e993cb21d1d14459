"""Tests of programs that requests name so often that each has a template."""
