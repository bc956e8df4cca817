"""Two revisions of the repository that git finds here: which they are, their files, and the lines between them."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from glyphline import paths
from glyphline.errors import GlyphlineError

MAIN_BRANCHES = ("refs/heads/main", "refs/heads/master", "refs/remotes/*/main", "refs/remotes/*/master")
# What a review is about.
WATCHED = (
    str(paths.PARAMS), "dvc.yaml", "dvc.lock", ".dvcignore", "metrics", str(paths.DATASETS), "glyphline", "stages"
)  # fmt: skip
# Files that decide how a change is judged.
JUDGING = (".github/", ".ci/", "Makefile", "pyproject.toml")
SOURCES = ("*.py", "*.j2", "*.css", "*.js", "*.lock", ":(exclude)dvc.lock", "dvc.yaml", f"{paths.DATASETS}/*.yaml")
SHALLOW = "this clone is shallow, without the history that is needed; run: git fetch --unshallow (on GitHub Actions: "
SHALLOW += "actions/checkout with fetch-depth: 0)"


@dataclass(frozen=True)
class Revision:
    """A commit, or the working tree where `commit` is None. `name` is what a reader is told."""

    repository: Path
    commit: str | None
    name: str

    def read(self, path: Path) -> bytes | None:
        """The bytes of a file, its path relative to the repository's root, or None where there is none."""
        if self.commit is None:
            file = self.repository / path
            try:
                return file.read_bytes() if file.is_file() else None
            except OSError as error:
                raise GlyphlineError(f"{file}: {error.strerror}") from None
        result = _git(self.repository, "cat-file", "blob", f"{self.commit}:{path.as_posix()}")
        return result.stdout if result.returncode == 0 else None


@dataclass(frozen=True)
class Lines:
    """How many lines of a file were added and removed."""

    path: str
    added: int
    removed: int

    @property
    def judges(self) -> bool:
        """Whether the file decides how a change is judged."""
        return self.path.startswith(JUDGING) or self.path.endswith(".lock")


def find_repository(folder: Path) -> Path:
    """The root of the git repository that the folder is in. Raises GlyphlineError."""
    result = _git(folder, "rev-parse", "--show-toplevel")
    if result.returncode:
        words = _words(result)
        if "not a git repository" in words:
            raise GlyphlineError(f"{folder}: this is not a git repository; a review compares two of its revisions")
        raise GlyphlineError(f"git: {words}")
    return Path(result.stdout.decode().removesuffix("\n"))


def choose(repository: Path, base: str | None) -> tuple[Revision, Revision]:
    """Before and after. After is the working tree where it differs from HEAD in what a review is about, else HEAD.

    Without a base, before is HEAD for uncommitted work, otherwise where this branch left the main branch, and for a
    commit of the main branch itself the commit before it. Raises GlyphlineError.
    """
    head = resolve(repository, "HEAD")
    status = git_output(repository, "status", "--porcelain", "--untracked-files=all", "--", *WATCHED)
    uncommitted = bool(status.strip())
    after = Revision(
        repository,
        None if uncommitted else head,
        f"the working tree on {head[:7]}" if uncommitted else head[:7],
    )
    if base is not None:
        commit = resolve(repository, base)
        name = commit[:7] if commit.startswith(base) else f"{commit[:7]} ({base})"
        return Revision(repository, commit, name), after
    if uncommitted:
        return Revision(repository, head, f"{head[:7]} (HEAD)"), after
    commit, why = _where_the_branch_began(repository, head)
    return Revision(repository, commit, f"{commit[:7]} ({why})"), after


def resolve(repository: Path, name: str) -> str:
    """The full hash of the commit that git knows by this name. Raises GlyphlineError."""
    result = _git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if result.returncode == 0:
        return result.stdout.decode().strip()
    if name == "HEAD":
        raise GlyphlineError("this repository has no commit yet, so there is nothing to review")
    hint = f"; {SHALLOW}" if _is_shallow(repository) else "; git branch --all and git tag list what there is"
    raise GlyphlineError(f"{name}: git knows no such revision{hint}")


def changed_lines(before: Revision, after: Revision) -> list[Lines]:
    """The files of code that changed, those that decide how the change is judged first, else by name."""
    files = (*SOURCES, *JUDGING)
    options = ("diff", "--numstat", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", str(before.commit))
    commits = (after.commit,) if after.commit else ()
    listing = git_output(before.repository, *options, *commits, "--", *files)
    changed = []
    for line in filter(None, listing.split("\0")):
        added, removed, path = line.split("\t", 2)
        changed.append(Lines(path, *(0 if number == "-" else int(number) for number in (added, removed))))  # -: no text
    if after.commit is None:
        new = git_output(before.repository, "ls-files", "-z", "--others", "--exclude-standard", "--", *files)
        for path in filter(None, new.split("\0")):
            content = after.read(Path(path)) or b""
            changed.append(Lines(path, len(content.splitlines()), 0))
    return sorted(changed, key=lambda lines: (not lines.judges, lines.path))


def _where_the_branch_began(repository: Path, head: str) -> tuple[str, str]:
    branches = git_output(repository, "for-each-ref", "--format=%(refname)", *MAIN_BRANCHES).split()
    if not branches:
        raise GlyphlineError(
            "there is no branch main or master to compare with; name a revision: glyphline review BASE"
        )
    began = []
    for branch in branches:
        result = _git(repository, "merge-base", head, branch)
        if result.returncode == 0:
            base = result.stdout.decode().strip()
            own = int(git_output(repository, "rev-list", "--count", f"{base}..{head}"))
            name = branch.removeprefix("refs/heads/").removeprefix("refs/remotes/")
            began.append((own, base, name))
    if own_commits := [each for each in began if each[0] > 0]:
        _, base, name = min(own_commits, key=lambda each: each[0])
        return base, f"where this branch left {name}"
    if not began and _is_shallow(repository):
        raise GlyphlineError(SHALLOW)
    if not began:
        raise GlyphlineError(
            "this branch has no commit in common with the main branch; name a revision to compare with"
        )
    return _parent(repository, head), "the commit before it"


def _parent(repository: Path, head: str) -> str:
    result = _git(repository, "rev-parse", "--verify", "--quiet", f"{head}^")
    if result.returncode == 0:
        return result.stdout.decode().strip()
    if _is_shallow(repository):
        raise GlyphlineError(SHALLOW)
    raise GlyphlineError("this is the first commit, and there is none before it to compare with")


def _is_shallow(repository: Path) -> bool:
    return git_output(repository, "rev-parse", "--is-shallow-repository").strip() == "true"


def git_output(repository: Path, *arguments: str) -> str:
    """What git prints. Raises GlyphlineError, with git's first words, where it fails."""
    result = _git(repository, *arguments)
    if result.returncode:
        raise GlyphlineError(f"git {arguments[0]}: {_words(result)}")
    return result.stdout.decode("utf-8", "surrogateescape")


def _words(result: subprocess.CompletedProcess[bytes]) -> str:
    """What git complained of, on one line."""
    words = result.stderr.decode("utf-8", "replace").strip().splitlines()
    return words[0].removeprefix("fatal: ") if words else f"exit status {result.returncode}"


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env={**os.environ, "LC_ALL": "C"},  # its messages in English, as they are looked at here
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise GlyphlineError("git is not installed, or not on PATH") from None
