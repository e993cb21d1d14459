"""Real servers, real clients, and the proof that nothing of them is left."""
