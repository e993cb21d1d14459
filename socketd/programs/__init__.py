"""From a command to a running program: where it is found, what it gets, what it may do."""
