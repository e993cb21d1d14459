# fish completion for socket: made by the installed command, so that it is of its version.
socket --completion fish 2>/dev/null | source
