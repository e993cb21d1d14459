"""Our command `fcgiwrap` beside the program of that name."""
