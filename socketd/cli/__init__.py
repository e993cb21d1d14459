"""The commands: what a user types becomes settings, errors become lines and exit codes."""
