"""Configuration files that are written for an operator: from answers, or from another server's."""
