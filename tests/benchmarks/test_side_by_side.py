"""The benchmark that a reader is asked to rerun."""

from __future__ import annotations

import pytest

from benchmarks.processes import machine_line
from tests.conftest import REPOSITORY, python


def cells(line: str) -> list[str]:
    """Of a row of a Markdown table."""
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.long
def test_side_by_side_trains_the_plain_network_and_ours_and_says_how_both_fare() -> None:
    run = python("-m", "benchmarks.side_by_side", "mlp", "--rounds", "1", cwd=REPOSITORY)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[0] == machine_line()
    _, _, compared, _, _, shares = (cells(line) for line in run.stdout.splitlines() if line.startswith("|"))
    theirs, their_seconds, their_accuracy, _, ours, our_seconds, our_accuracy, _, ratio, _ = compared
    assert theirs == ours == "`mlp`"
    for accuracy in (their_accuracy, our_accuracy):
        assert 85 < float(accuracy) <= 100  # per cent of 1,000 test digits
    assert float(ratio.split()[0]) == pytest.approx(float(our_seconds) / float(their_seconds), abs=0.02)
    assert shares[0] == "`mlp`"
    assert 0 < float(shares[-1].rstrip("%")) <= 100
