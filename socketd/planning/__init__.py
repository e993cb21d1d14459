"""How many workers a service needs: mathematics, traces, and the real pool in simulated time."""
