"""Completions for bash, zsh and fish, made from the table of options.

Owns the three dialects. Must not know what an option does.
"""

from socketd.cli.options import Option, all_options
from socketd.errors import UsageError

_FILE_METAVARS = ("PATH", "FILE", "FOLDER")
_FILES_METAVARS = ("PATH[,PATH]",)
_COMMAND_METAVARS = ("COMMAND",)


def script(shell: str) -> str:
    """Return the completion script for a shell. Raises UsageError for one that is not known."""
    makers = {"bash": _bash, "zsh": _zsh, "fish": _fish}
    if shell not in makers:
        raise UsageError(f"--completion: {shell!r} is not one of {', '.join(makers)}")
    return makers[shell]()


def _spellings(option: Option) -> list[str]:
    short = [f"-{option.letter}"] if option.letter else []
    return [*short, f"--{option.name}"]


def _bash() -> str:
    cases = []
    for option in all_options():
        if not option.metavar:
            continue
        pattern = "|".join(_spellings(option))
        if option.choices:
            action = f'COMPREPLY=($(compgen -W "{" ".join(option.choices)}" -- "$current"))'
        elif option.metavar in _FILE_METAVARS:
            action = 'COMPREPLY=($(compgen -f -- "$current"))'
        elif option.metavar in _FILES_METAVARS:
            action = 'COMPREPLY=($(compgen -P "${current%"$last"}" -f -- "$last"))'
        elif option.metavar in _COMMAND_METAVARS:
            action = 'COMPREPLY=($(compgen -c -- "$current"))'
        else:
            action = "COMPREPLY=()"
        cases.append(f"        {pattern}) {action}; return ;;")
    words = " ".join(word for option in all_options() for word in _spellings(option))
    return "\n".join(
        [
            "# bash completion for socket: source this file, or put it into",
            "# ~/.local/share/bash-completion/completions/socket",
            "_socket() {",
            '    local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}"',
            "    # bash has split --name=value at the sign",
            '    if [[ $current == "=" ]]; then current=""; fi',
            '    if [[ $previous == "=" ]]; then previous="${COMP_WORDS[COMP_CWORD-2]}"; fi',
            '    local last="${current##*,}"',
            '    case "$previous" in',
            *cases,
            "    esac",
            '    case "$current" in',
            f'        -*) COMPREPLY=($(compgen -W "{words}" -- "$current")) ;;',
            '        */*) COMPREPLY=($(compgen -f -- "$current")) ;;',
            '        *) COMPREPLY=($(compgen -A hostname -- "$current")) ;;',
            "    esac",
            "}",
            "complete -o filenames -F _socket socket",
        ]
    )


def _zsh() -> str:
    lines = [
        "#compdef socket",
        "",
        "_socket_operand() {",
        "    _alternative 'hosts:host:_hosts' 'files:path:_files'",
        "}",
        "",
        "_arguments -s -S \\",
    ]
    for option in all_options():
        text = _escaped(option.help)
        value = ""
        if option.choices:
            value = f":{option.metavar}:({' '.join(option.choices)})"
        elif option.metavar in _FILE_METAVARS:
            value = f":{option.metavar}:_files"
        elif option.metavar in _FILES_METAVARS:
            value = ":PATH:_sequence _files"
        elif option.metavar in _COMMAND_METAVARS:
            value = f":{option.metavar}:_cmdstring"
        elif option.metavar:
            value = f":{option.metavar}: "
        together = " ".join(_spellings(option))
        for spelling in _spellings(option):
            sign = "=" if option.metavar and spelling.startswith("--") else ""
            lines.append(f"    '({together}){spelling}{sign}[{text}]{value}' \\")
    # The space keeps _arguments from adding options of its own.
    lines.append("    '*: : _socket_operand'")
    return "\n".join(lines)


def _escaped(text: str) -> str:
    quoted = text.replace("'", "'\\''").replace(":", "\\:")
    return quoted.replace("[", "\\[").replace("]", "\\]")


def _fish() -> str:
    lines = ["# fish completion for socket: ~/.config/fish/completions/socket.fish"]
    for option in all_options():
        words = ["complete -c socket"]
        if option.letter:
            words.append(f"-s {option.letter}")
        words.append(f"-l {option.name}")
        if option.choices:
            words.append(f"-x -a '{' '.join(option.choices)}'")
        elif option.metavar in (*_FILE_METAVARS, *_FILES_METAVARS):
            words.append("-r -F")
        elif option.metavar in _COMMAND_METAVARS:
            words.append("-x -a '(__fish_complete_command)'")
        elif option.metavar:
            words.append("-x")
        description = option.help.replace("\\", "\\\\").replace("'", "\\'")
        words.append(f"-d '{description}'")
        lines.append(" ".join(words))
    return "\n".join(lines)
