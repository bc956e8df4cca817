"""The comment on a pull request: the real gh against an HTTP server of our own that keeps comments as GitHub does."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.github import BOT, HEAD, LONGEST, RUN, GitHub, serving

pytestmark = pytest.mark.skipif(not shutil.which("gh"), reason="gh is not installed")

MARKER = "<!-- the review of this pull request, renewed by .github/comment -->"


@pytest.fixture
def github() -> Iterator[GitHub]:
    with serving() as github:
        yield github


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return tmp_path / "review.md"


def comment(github: GitHub, page: Path, text: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run .github/comment as the workflow does, with its gh asking our server."""
    page.write_text(text, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "GH_"))}
    environment |= {
        "GITHUB_ACTIONS": "true",
        "GH_REPO": "owner/glyphs",
        "GH_TOKEN": "secret",
        "GH_CONFIG_DIR": str(page.parent / "gh"),
        **github.environment,
        "PR": "12",
        "PAGE": str(page),
    }
    script = str(REPOSITORY / ".github/comment")
    return subprocess.run(
        [script], env=environment | variables, cwd=page.parent, capture_output=True, text=True, check=False
    )


def test_the_next_time_the_comment_is_renewed_wherever_it_stands(github: GitHub, page: Path) -> None:
    for number in range(150):
        github.post("somebody", f"Comment {number}")
    comment(github, page, "the first page")
    for number in range(70):
        github.post(BOT, f"Report {number} of another workflow")
    result = comment(github, page, "the second page")
    assert result.returncode == 0, result.stderr
    assert len(github.comments) == 150 + 1 + 70
    assert github.comments[150]["body"] == f"{MARKER}\nthe second page\n"


def test_somebody_else_s_comment_is_left_alone_even_with_the_marker_in_it(github: GitHub, page: Path) -> None:
    github.post("somebody", f"{MARKER}\nmine")
    github.post(BOT, f"I quote:\n{MARKER}")
    comment(github, page, "the page")
    assert [each["body"] for each in github.comments[:2]] == [f"{MARKER}\nmine", f"I quote:\n{MARKER}"]
    assert github.comments[2]["body"] == f"{MARKER}\nthe page\n"


def test_a_person_renews_a_comment_of_their_own(github: GitHub, page: Path) -> None:
    github.post(BOT, f"{MARKER}\nthe workflow's")
    github.user = "person"
    for text in ("the first page", "the second page"):
        assert comment(github, page, text, GITHUB_ACTIONS="").returncode == 0
    assert [each["body"] for each in github.comments] == [f"{MARKER}\nthe workflow's", f"{MARKER}\nthe second page\n"]


def test_a_page_that_is_too_long_begins_with_where_the_whole_is(tmp_path: Path, page: Path) -> None:
    artifact = tmp_path / "artifact"
    artifact.mkdir()
    (artifact / "number").write_text("12\n")
    (artifact / "page.md").write_text("か" * LONGEST, encoding="utf-8")
    here = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "owner/glyphs"}
    with serving(artifact) as github:
        result = comment(github, page, "", RUN=str(RUN), COMMIT=HEAD, **here)
        assert result.returncode == 0, result.stderr
        (posted,) = github.comments
    assert "https://github.com/owner/glyphs/actions/runs/7" in posted["body"].splitlines()[1]
    assert posted["body"].rstrip().endswith("か" * 60_000)


@pytest.mark.parametrize(
    "text",
    [
        '**Better**\n\n|a|\n|-|\n|かな & <b> "q"|',
        *("@file", "$(touch hacked) `touch hacked` ${HOME}", "'; touch hacked; '", "true"),
    ],
)
def test_the_page_is_posted_as_text_and_nothing_else(github: GitHub, page: Path, text: str) -> None:
    result = comment(github, page, text)
    assert (result.returncode, result.stdout) == (0, "https://x/1\n"), result.stderr
    assert [each["body"] for each in github.comments] == [f"{MARKER}\n{text}\n"]
    assert not (page.parent / "hacked").exists()


def test_a_token_that_may_only_read_fails_with_github_s_words(github: GitHub, page: Path) -> None:
    github.may_write = False
    result = comment(github, page, "the page")
    assert result.returncode == 1
    assert "Resource not accessible by integration" in result.stderr


@pytest.mark.parametrize("missing", ["PR", "PAGE"])
def test_what_is_missing_is_named(github: GitHub, page: Path, missing: str) -> None:
    result = comment(github, page, "the page", **{missing: ""})
    assert result.returncode == 1
    assert f"{missing}: name the p" in result.stderr
    assert not github.comments
