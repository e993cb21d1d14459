"""The benchmark: socketd beside every installed server that does the same job."""
