"""Tests of the barrier around what the master does for one service."""
