"""glyphline/cli.py: the command as it is installed, and what it does before and after a sub-command."""

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from glyphline import cli
from tests.conftest import REPOSITORY, Capture, python


def test_the_installed_command_is_this_one() -> None:
    (command,) = entry_points(group="console_scripts", name="glyphline")
    assert command.load() is cli.main


def test_misuse_is_a_sentence_and_status_2(capsys: Capture) -> None:
    for words in ([], ["predict"], ["predict", "--colour", "a.png"], ["predikt", "a.png"]):
        with pytest.raises(SystemExit) as stopped:
            cli.main(words)
        assert stopped.value.code == 2
        assert "Traceback" not in capsys.readouterr().err


def test_help_lists_the_commands_and_imports_nothing_slow(world: Path) -> None:
    code = (
        "import sys\nfrom glyphline.cli import main\n"
        "try:\n    main(['--help'])\nfinally:\n"
        "    assert not {'numpy', 'pandas', 'PIL', 'matplotlib', 'tensorflow'} & set(sys.modules)"
    )
    done = python("-c", code, cwd=world)
    assert (done.returncode, done.stderr) == (0, "")
    assert "predict" in done.stdout


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    code = (
        "import argparse, sys\nfrom glyphline import cli\n"
        "def add(commands):\n"
        "    commands.add_parser('count').set_defaults(run=lambda _: [print(n) for n in range(100_000)] and 0)\n"
        "cli._add_predict = add\nsys.exit(cli.main(['count']))"
    )
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, stdout=write_end, stderr=subprocess.PIPE, check=False
    )
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, b"")
