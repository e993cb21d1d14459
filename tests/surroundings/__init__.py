"""What a command finds around it: limits, descriptors, signals, a machine that lacks something."""
