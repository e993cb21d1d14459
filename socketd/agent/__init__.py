"""What a running server tells a load balancer that asks how much it can take.

The folder is on the path of `__main__.py` where that runs as a script: no module in it may have the
name of one that anything else imports.
"""
