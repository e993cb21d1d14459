"""From what an operator has written to the settings of services."""
