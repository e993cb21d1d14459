"""Tests of what we ship for those who have more than one machine."""
