"""How the benchmarks take turns, and what they say of the machine."""

from __future__ import annotations

from pathlib import Path

from benchmarks.processes import in_turns, machine_line
from glyphline.stage import machine


def test_whoever_comes_first_in_one_round_comes_last_in_the_next(tmp_path: Path) -> None:
    commands = {name: ["sh", "-c", f"printf {name} >> order"] for name in "abc"}
    measured = in_turns(commands, tmp_path, rounds=3)
    assert (tmp_path / "order").read_text(encoding="utf-8") == "abccbaabc"
    assert {name: len(runs) for name, runs in measured.items()} == {"a": 3, "b": 3, "c": 3}


def test_the_machine_is_named_with_the_flags_that_tell_processors_of_one_name_apart() -> None:
    here = machine()
    assert f"{here['processor']} ({here['flags']}), " in machine_line()
    del here["flags"]
    assert "(flags not recorded), " in machine_line(here), "run records of before have none"
