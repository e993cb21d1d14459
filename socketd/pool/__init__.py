"""The pool's policy: events in, commands out.

Owns the worker states, the strategies, back-off and drain. Must not know the operating system:
no signal, socket, process, clock or log; the caller passes `now` and carries the commands out.
"""
