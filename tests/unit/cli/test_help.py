"""What `--help` and `--version` tell."""

from __future__ import annotations

import pytest

from include.backup.cli.main import main


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command prints that only tells about itself."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("command", "lines"),
    [
        ("policy", ["policy [-h] [--json | --schemas DIR] [review --by WHO", "review record that"]),
        ("keys", ["keys [-h] {export DATASET GENERATION | list", "export print the repository"]),
        (
            "ledger",
            [
                "ledger [-h] {verify [DATASET] | accept DATASET | adopt DATASET --spool DIR}",
                "verify read all records",
                "accept go on with a ledger",
                "adopt record what another machine did",
            ],
        ),
    ],
)
def test_a_command_with_commands_below_lists_them(
    capsys: pytest.CaptureFixture[str], command: str, lines: list[str]
) -> None:
    """In its usage, and each with one line."""
    printed = told(capsys, command, "--help")
    for line in lines:
        assert line in printed


def test_the_help_of_a_lower_command_is_called_by_its_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The usage of the command above is not repeated in it."""
    assert told(capsys, "keys", "export", "--help").startswith(
        "usage: holdfast keys export [-h] DATASET GENERATION"
    )


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """As installed."""
    assert told(capsys, "--version").startswith("holdfast 0.")
