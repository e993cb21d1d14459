"""Tests of programs that are held still and copied per connection."""
