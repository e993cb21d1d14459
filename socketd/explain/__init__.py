"""What a program is at each level of --ready, found out by starting it."""
