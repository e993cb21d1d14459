"""The command line of `socket`: getopt's grammar, its complaints, and one table for everything."""

import pytest

from socketd.cli.options import Option, all_options, help_text, parse, usage
from socketd.errors import UsageError


@pytest.mark.parametrize(
    ("arguments", "values", "operands"),
    [
        (["-wslqvp", "echo hi", "/s"], {"program": "echo hi"}, ["/s"]),
        (["-wslqvpecho", "/s"], {"program": "echo"}, ["/s"]),
        (["-sl", "7000"], {"server": "", "loop": ""}, ["7000"]),
        (["host", "7000", "-q"], {"quit": ""}, ["host", "7000"]),
        (["--", "-q", "-v"], {}, ["-q", "-v"]),
        (["-q", "--", "--wait", "1"], {"quit": ""}, ["--wait", "1"]),
        (["-"], {}, ["-"]),
        (["--workers=4"], {"workers": "4"}, []),
        (["--workers", "4"], {"workers": "4"}, []),
        (["--conn", "1s"], {"connect-timeout": "1s"}, []),
        (["--worker", "auto", "--workers", "2"], {"worker": "auto", "workers": "2"}, []),
        (["-p", "-q"], {"program": "-q"}, []),
        (["-p", "one", "-p", "two"], {"program": "two"}, []),
        ([""], {}, [""]),
    ],
)
def test_arguments_are_split_as_getopt_does(
    arguments: list[str], values: dict[str, str], operands: list[str]
) -> None:
    """Letters bundle, the last may take a value, options may follow operands, -- ends them."""
    line = parse(arguments)

    assert line.operands == operands
    assert values.items() <= line.values.items()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["-qZ"], "invalid option -- 'Z'"),
        (["-version"], "invalid option -- 'e'"),
        (["-qp"], "option requires an argument -- 'p'"),
        (["--nothing"], "unrecognized option '--nothing'"),
        (["--nothing=1"], "unrecognized option '--nothing=1'"),
        (["--pidfile"], "option '--pidfile' requires an argument"),
        (["--quit=1"], "option '--quit' doesn't allow an argument"),
        (["--write-o=1"], "option '--write-only' doesn't allow an argument"),
        (
            ["--log"],
            "option '--log' is ambiguous; possibilities: '--log-format' '--log-file' '--log-level'",
        ),
    ],
)
def test_complaints_are_getopt_s(arguments: list[str], complaint: str) -> None:
    """What cannot be understood is said in getopt's words, with the usage before."""
    with pytest.raises(UsageError) as caught:
        parse(arguments)

    assert (str(caught.value), caught.value.usage) == (complaint, usage())


@pytest.mark.parametrize(
    "option", [one for one in all_options() if one.metavar], ids=lambda o: o.name
)
def test_no_option_takes_an_empty_value(option: Option) -> None:
    """It is what an unset variable of a script leaves, and nobody means it, for no option."""
    spellings = [[f"--{option.name}="], [f"--{option.name}", ""]]
    spellings += [[f"-{option.letter}", ""]] if option.letter else []
    for arguments in spellings:
        with pytest.raises(UsageError) as caught:
            parse([*arguments, "7000"])

        assert str(caught.value) == (
            f"--{option.name}: the value is empty; give {option.metavar} or leave the option out"
        )


def test_names_and_letters_are_unique() -> None:
    """No two options share a name or a letter."""
    names = [option.name for option in all_options()]
    letters = [option.letter for option in all_options() if option.letter]

    assert len(names) == len(set(names))
    assert len(letters) == len(set(letters))


def test_usage_lists_every_option_and_help_explains_it() -> None:
    """Each letter stands in a form of the usage, each long-only name below; all are in the help."""
    text, explained = usage(), help_text()
    forms = text.partition("Also:")[0]
    for option in all_options():
        if option.letter:
            assert option.letter in "".join(
                word for word in forms.split() if word.lstrip("[").startswith("-")
            )
            assert f"  -{option.letter}, --{option.name} " in explained
        else:
            assert f"[--{option.name}" in text
            assert f"      --{option.name} " in explained
        assert option.help in " ".join(explained.split())
    assert max(map(len, [*text.splitlines(), *explained.splitlines()])) <= 80
