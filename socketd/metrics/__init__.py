"""What a running server tells monitors and people over HTTP; the control socket tells it first.

The folder is on the path of `__main__.py` where that runs as a script: no module in it may have the
name of one that anything else imports.
"""
