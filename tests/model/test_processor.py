"""bfloat16 where the processor computes in it."""

import re
from pathlib import Path

import pytest

from glyphline.model import processor
from glyphline.model.networks import precision
from glyphline.model.variant import Variant

OLD = {"fpu", "avx", "avx2", "fma", "avx512f", "avx512_vnni"}


@pytest.fixture(autouse=True)
def no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (processor.ISA_LIMIT, "TF_ENABLE_ONEDNN_OPTS"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(
    ("flags", "environment", "expected"),
    [
        (OLD, {}, "float32"),
        (OLD | {"avx512_bf16"}, {}, "bfloat16"),
        (OLD | {"amx_bf16"}, {processor.ISA_LIMIT: ""}, "bfloat16"),
        (OLD | {"avx512_bf16"}, {processor.ISA_LIMIT: "AVX2"}, "float32"),
        (OLD | {"avx512_bf16"}, {processor.ISA_LIMIT: "avx512_core"}, "float32"),
        (OLD | {"avx512_bf16"}, {processor.ISA_LIMIT: "AVX512_CORE_BF16"}, "bfloat16"),
        (OLD | {"avx512_bf16"}, {"TF_ENABLE_ONEDNN_OPTS": "0"}, "float32"),
    ],
)
def test_auto_is_bfloat16_where_the_processor_computes_in_it(
    monkeypatch: pytest.MonkeyPatch, flags: set[str], environment: dict[str, str], expected: str
) -> None:
    monkeypatch.setattr(processor, "fields", lambda: {"flags": " ".join(flags)})
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert precision(Variant(epochs=1, precision="auto")) == expected
    for asked in ("float32", "bfloat16"):
        assert precision(Variant(epochs=1, precision=asked)) == asked


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="only Linux tells what the processor can do")
def test_the_flags_are_those_that_the_system_names() -> None:
    found = re.search(r"^flags\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    assert found
    assert processor.fields()["flags"].split() == found[1].split()
