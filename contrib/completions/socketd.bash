# bash completion for socketd: made by the installed command, so that it is of its version.
eval "$(socketd --completion bash 2>/dev/null)"
