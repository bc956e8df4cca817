"""Where GLYPHLINE_NO_SKIPS is set, no test is skipped unseen."""

from pathlib import Path

import pytest

from tests.conftest import NO_SKIPS, python

SKIPPING = """
import pytest

@pytest.mark.skipif(True, reason="no such program")
def test_by_a_mark(): ...

def test_by_a_call():
    pytest.skip("no such program")

@pytest.mark.xfail(strict=True)
def test_that_is_expected_to_fail():
    assert False
"""


@pytest.mark.parametrize(("value", "expected"), [("", "1 xfailed"), ("1", "1 failed, 1 xfailed, 1 error")])
def test_a_skipped_test_fails_where_skips_are_forbidden(tmp_path: Path, value: str, expected: str) -> None:
    (tmp_path / "test_skipping.py").write_text(SKIPPING)
    folder = str(tmp_path)
    result = python(
        "-m", "pytest", "-p", "tests.conftest", "--rootdir", folder, folder, cwd=tmp_path, **{NO_SKIPS: value}
    )
    assert expected in result.stdout, result.stdout
    assert ("no such program, and GLYPHLINE_NO_SKIPS is set" in result.stdout) == bool(value)
