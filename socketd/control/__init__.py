"""How a running server is looked at and told what to do, over a UNIX socket of the master."""
