"""What can be typed, and what is said of what cannot."""

from importlib.metadata import version

import pytest

from cli.__main__ import main
from cli.arguments import make_parser

COMMANDS = ("local", "demo", "crds", "convert", "explain", "status", "probe", "version")


def ended(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return end.value.code


def test_without_a_command_the_help_is_shown_as_an_error(capsys):
    assert main([]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert [name for name in COMMANDS if f"    {name} " not in told.err] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help(command, capsys):
    assert ended(command, "--help") == 0
    assert capsys.readouterr().out.startswith(f"usage: gamekeeper {command} ")


@pytest.mark.parametrize("arguments", [["version"], ["--version"]])
def test_the_version_is_that_of_the_installed_package(arguments, capsys):
    try:
        code = main(arguments)
    except SystemExit as end:
        code = end.code
    assert (code, capsys.readouterr().out) == (0, f"{version('gamekeeper')}\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bogus"], "invalid choice: 'bogus'"),
        (["version", "extra"], "unrecognized arguments: extra"),
        (["explain", "pod", "x"], "'pod' is none of gs, gameserver, gameservers, gss"),
        (["explain", "gs"], "the following arguments are required: NAME"),
        (["status", "-o", "xml"], "invalid choice: 'xml'"),
        (["local", "--port", "abc"], "'abc' must be a whole number from 0 to 65535"),
        (["local", "--port", "65536"], "'65536' must be a whole number from 0 to 65535"),
        (["local", "--port", "-1"], "'-1' must be a whole number from 0 to 65535"),
        (["local", "--port", "9" * 5000], "must be a whole number from 0 to 65535"),
        (["local", "--port", "²"], "'²' must be a whole number from 0 to 65535"),
        (["probe", "-f", "set.yaml"], "the following arguments are required: --name"),
        (["probe", "--name", "idle"], "the following arguments are required: -f/--file"),
        (["convert"], "the following arguments are required: FILE"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else None,
)
def test_what_cannot_be_meant_is_said_in_one_line_after_the_usage(arguments, words, capsys):
    assert ended(*arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("usage: gamekeeper")
    assert words in lines[-1]


def test_the_largest_port_is_one():
    assert make_parser().parse_args(["local", "--port", "65535"]).port == 65_535
