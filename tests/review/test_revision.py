"""glyphline/review/revision.py on real repositories: which two revisions are compared, and the lines between them."""

import subprocess
from pathlib import Path

import pytest

from glyphline.review.revision import Lines, changed_lines, choose, find_repository, resolve
from tests.conftest import refusal
from tests.review.conftest import Scratch


def chosen(scratch: Scratch, base: str | None = None) -> tuple[str | None, str | None]:
    """The commits that are compared; None is the working tree."""
    before, after = choose(scratch.root, base)
    return before.commit, after.commit


def test_a_branch_is_compared_with_where_it_left_main(scratch: Scratch) -> None:
    began = scratch.commit("Begin")
    scratch.git("switch", "--quiet", "--create", "idea")
    head = scratch.commit("Idea")
    scratch.git("switch", "--quiet", "main")
    scratch.commit("Somebody else's")
    scratch.git("switch", "--quiet", "idea")
    assert chosen(scratch) == (began, head)
    assert choose(scratch.root, None)[0].name == f"{began[:7]} (where this branch left main)"


def test_the_nearer_of_two_main_branches_counts(scratch: Scratch, tmp_path: Path) -> None:
    scratch.commit("Begin")
    upstream = tmp_path / "upstream"
    scratch.git("clone", "--quiet", "--bare", str(scratch.root), str(upstream))
    scratch.git("remote", "add", "origin", str(upstream))
    newer = scratch.commit("Newer, and pushed")
    scratch.git("push", "--quiet", "origin", "main")
    scratch.git("switch", "--quiet", "--create", "idea")
    head = scratch.commit("Idea")
    scratch.git("branch", "--force", "main", "HEAD~2")  # the local main is old
    assert chosen(scratch) == (newer, head)


def test_a_pull_request_merged_for_a_try_is_compared_with_main(scratch: Scratch) -> None:
    scratch.commit("Begin")
    scratch.git("switch", "--quiet", "--create", "idea")
    scratch.commit("Idea")
    scratch.git("switch", "--quiet", "main")
    main = scratch.commit("Somebody else's")
    scratch.git("switch", "--quiet", "--detach")
    scratch.git("merge", "--quiet", "--no-edit", "idea")
    assert chosen(scratch) == (main, scratch.git("rev-parse", "HEAD"))


@pytest.mark.parametrize(
    "path", ["params.yaml", "metrics/test.json", "glyphline/new.py", "dvc.lock", "datasets/mine.yaml", ".dvcignore"]
)
def test_uncommitted_work_is_compared_with_head(scratch: Scratch, path: str) -> None:
    scratch.commit("First")
    head = scratch.commit("Second")
    scratch.write(path, "{}")
    assert chosen(scratch) == (head, None)
    assert choose(scratch.root, None)[1].name == f"the working tree on {head[:7]}"
    assert chosen(scratch, "HEAD~1")[1] is None


@pytest.mark.parametrize("path", ["README.md", "review.html", "runs/train.json"])
def test_a_commit_of_main_is_compared_with_the_one_before_and_a_file_that_no_review_is_about_is_no_uncommitted_work(
    scratch: Scratch, path: str
) -> None:
    first, second = scratch.commit("First"), scratch.commit("Second")
    scratch.write(path, "")
    assert chosen(scratch) == (first, second)


def test_a_base_is_taken_by_any_name_that_git_knows(scratch: Scratch) -> None:
    first = scratch.commit("First")
    scratch.git("tag", "v1")
    head = scratch.commit("Second")
    for name in ("v1", "HEAD~1", first, first[:8], "main^"):
        assert chosen(scratch, name) == (first, head)
    assert choose(scratch.root, "v1")[0].name == f"{first[:7]} (v1)"
    assert choose(scratch.root, first[:8])[0].name == first[:7]


def test_files_are_read_as_they_were(scratch: Scratch) -> None:
    scratch.write("params.yaml", "old: ü\n")
    scratch.commit("First")
    scratch.write("params.yaml", "new")
    before, after = choose(scratch.root, None)
    assert before.read(Path("params.yaml")) == "old: ü\n".encode()
    assert after.read(Path("params.yaml")) == b"new"
    assert before.read(Path("nowhere/at all")) is None
    assert after.read(Path("nowhere/at all")) is None
    assert after.read(Path("metrics")) is None


def test_lines_of_code_are_counted_between_the_revisions_those_that_judge_first(scratch: Scratch) -> None:
    scratch.write("stages/a.py", "1\n2\n3\n")
    scratch.write("stages/gone.py", "1\n")
    scratch.write("notes.txt", "1\n")
    scratch.commit("First")
    scratch.write("stages/a.py", "1\n3\n4\n5\n")
    (scratch.root / "stages/gone.py").unlink()
    judging = [".ci/run", ".github/workflows/tests.yml", "Makefile", "pyproject.toml", "requirements.lock"]
    page = ["datasets/mine.yaml", "dvc.yaml", "glyphline/page.css", "glyphline/page.html.j2", "glyphline/page.js"]
    for path in ("notes.txt", "dvc.lock", "metrics/test.json", *judging, *page, "stages/näh er.py"):
        scratch.write(path, "2\n1\n")
    expected = [Lines(path, 2, 0) for path in [*judging, *page]]
    expected += [Lines("stages/a.py", 2, 1), Lines("stages/gone.py", 0, 1), Lines("stages/näh er.py", 2, 0)]
    assert changed_lines(*choose(scratch.root, None)) == expected
    scratch.commit("Second")
    assert changed_lines(*choose(scratch.root, None)) == expected
    assert [lines.path for lines in expected if lines.judges] == judging


COMMIT = "commit --quiet --allow-empty --message Work"


@pytest.mark.parametrize(
    ("commands", "words"),
    [
        ([], "no commit yet"),
        ([COMMIT], "this is the first commit"),
        ([COMMIT, "branch --move trunk"], "name a revision: glyphline review BASE"),
        ([COMMIT, "switch --quiet --orphan other", f"{COMMIT}s"], "no commit in common"),
    ],
)
def test_where_nothing_is_to_compare_with_a_sentence_says_so(scratch: Scratch, commands: list[str], words: str) -> None:
    for command in commands:
        scratch.git(*command.split())
    assert words in refusal(choose, scratch.root, None)


@pytest.mark.parametrize("name", ["nowhere", "--all", "HEAD~9", "HEAD:params.yaml", ""])
def test_a_revision_that_is_not_there_is_refused(scratch: Scratch, name: str) -> None:
    scratch.commit()
    assert refusal(resolve, scratch.root, name).startswith(f"{name}: git knows no such revision")


@pytest.mark.parametrize("base", [None, "HEAD~1", "main~1"])
def test_a_shallow_clone_is_told_how_to_fetch_the_rest(scratch: Scratch, tmp_path: Path, base: str | None) -> None:
    scratch.commit()
    scratch.commit()
    shallow = tmp_path / "shallow"
    subprocess.run(
        ["git", "clone", "--quiet", "--depth=1", scratch.root.as_uri(), str(shallow)], check=True, capture_output=True
    )
    message = refusal(choose, shallow, base)
    assert "git fetch --unshallow" in message
    assert "fetch-depth: 0" in message


def test_a_machine_without_git_is_told_so(scratch: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(scratch.root))
    assert "git is not installed" in refusal(find_repository, scratch.root)
