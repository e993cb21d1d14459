"""What an operator can set: one table of settings, their values and texts, and what they make."""
