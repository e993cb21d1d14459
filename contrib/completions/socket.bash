# bash completion for socket: made by the installed command, so that it is of its version.
eval "$(socket --completion bash 2>/dev/null)"
