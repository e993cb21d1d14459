# fish completion for socketd: made by the installed command, so that it is of its version.
socketd --completion fish 2>/dev/null | source
