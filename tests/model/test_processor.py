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
    ("flags", "limit", "expected"),
    [
        (OLD, "", "float32"),
        (OLD | {"avx512_bf16"}, "", "bfloat16"),
        (OLD | {"amx_bf16"}, "", "bfloat16"),
        (OLD | {"avx512_bf16"}, "AVX2", "float32"),
        (OLD | {"avx512_bf16"}, "avx512_core", "float32"),
        (OLD | {"avx512_bf16"}, "AVX512_CORE_BF16", "bfloat16"),
    ],
)
def test_auto_is_bfloat16_where_the_processor_computes_in_it(
    monkeypatch: pytest.MonkeyPatch, flags: set[str], limit: str, expected: str
) -> None:
    monkeypatch.setattr(processor, "fields", lambda: {"flags": " ".join(flags)})
    monkeypatch.setenv(processor.ISA_LIMIT, limit)
    assert precision(Variant(epochs=1, precision="auto")) == expected
    for asked in ("float32", "bfloat16"):
        assert precision(Variant(epochs=1, precision=asked)) == asked


def test_without_onednn_it_is_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "fields", lambda: {"flags": "avx512_bf16"})
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert precision(Variant(epochs=1, precision="auto")) == "float32"


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="only Linux tells what the processor can do")
def test_the_flags_are_those_that_the_system_names() -> None:
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16"):
        assert (flag in processor.fields()["flags"].split()) == bool(
            re.search(rf"^flags\b.*\b{flag}\b", text, re.MULTILINE)
        )
