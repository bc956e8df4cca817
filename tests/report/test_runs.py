import json
from pathlib import Path

import pytest

from glyphline.report import runs
from tests.conftest import refusal


def write_record(folder: Path, stage: str, started: str, seconds: float, processor: str) -> None:
    folder.mkdir(exist_ok=True)
    machine = {"processor": processor, "cores": 2, "memory_bytes": 8 * 2**30}
    record = {"stage": stage, "started": started, "seconds": seconds, "peak_memory_bytes": 2**30, "machine": machine}
    (folder / f"{stage}.json").write_text(json.dumps(record), encoding="utf-8")


def test_two_machines_stand_side_by_side(tmp_path: Path) -> None:
    laptop, server = tmp_path / "laptop", tmp_path / "server"
    write_record(laptop, "train@mlp", "2026-01-01T00:00:02", 10, "slow")
    write_record(laptop, "download", "2026-01-01T00:00:01", 1, "slow")
    write_record(server, "train@mlp", "2026-01-02T00:00:00", 5, "fast")
    table = runs.compare([laptop, server])
    assert list(table.columns) == [str(laptop), str(server)]
    assert list(table.loc["processor"]) == ["slow", "fast"]
    assert list(table.loc["memory"]) == ["8.0 GiB", "8.0 GiB"]
    assert list(table.loc["train@mlp"]) == ["10.0 s, 1.00 GiB", "5.0 s, 1.00 GiB"]
    assert list(table.loc["all stages"]) == ["11.0 s", "5.0 s"]
    assert table.loc["download", str(server)] == ""
    assert list(table.index).index("download") < list(table.index).index("train@mlp")


@pytest.mark.parametrize("content", ["not json", "{}", "[]", '{"stage": "a", "started": "b"}', "\udce9"])
def test_a_file_that_is_no_record_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "odd.json").write_bytes(content.encode(errors="surrogateescape"))
    assert "odd.json" in refusal(runs.read_records, tmp_path)


def test_an_empty_folder_says_where_records_come_from(tmp_path: Path) -> None:
    assert "runs/" in refusal(runs.read_records, tmp_path)
    assert "no such folder" in refusal(runs.read_records, tmp_path / "missing")
