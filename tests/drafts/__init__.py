"""Configuration files that are written for an operator."""
