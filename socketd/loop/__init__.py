"""What wakes the master: timers, signals, ends of children, listening sockets."""
