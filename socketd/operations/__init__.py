"""What the operator sees: the log, the service manager, the title in ps, the pid file."""
