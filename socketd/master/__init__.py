"""One loop, many endpoints, and the next version of itself."""
