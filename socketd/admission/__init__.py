"""Who may come in: rules as an operator writes them, and the tables that workers look at."""
