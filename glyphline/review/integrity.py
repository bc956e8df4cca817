"""What is wrong between params.yaml, dvc.yaml, dvc.lock, the metrics in git and the data that are here.

DVC says which files are not those of dvc.lock. What it does not say is found here: whether dvc.lock fits dvc.yaml and
itself, and damage, as DVC does not read a file again whose time and size it knows, nor its cache. Nothing is run, and
no data has to be there, so a fresh clone can be judged.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo

from glyphline import paths
from glyphline.config import check_dataset, parse_params
from glyphline.errors import GlyphlineError, ParamsError
from glyphline.evaluation.numbers import listed
from glyphline.schema import parse_yaml

REBUILD = "run: dvc repro, and commit dvc.lock and metrics/"
MEND = f"mend it, then {REBUILD}"
DELETE = "delete it, then run: dvc repro"
STAGES_NAMED = 3  # at most, in one sentence: a package may concern every stage there is
# What ruamel.yaml lets through besides DVC's own: a thirteenth month, 5,000 digits, thousands of brackets.
_READING_ERRORS = (DvcException, ArithmeticError, LookupError, RecursionError, ValueError)

Stage = Any  # DVC has no type annotations
Entry = Any  # a dependency or an output of a stage


def problems(repository: Path) -> list[str]:
    """What is wrong in the working tree: a sentence each, which names file and stages and says what to do.

    Raises GlyphlineError where there is no DVC repository.
    """
    try:
        repo = Repo(str(repository))
    except DvcException as error:
        raise GlyphlineError(f"{repository}: {error}") from None
    with repo:
        root = Path(repo.root_dir)
        found = [*_unreadable(root)]
        try:
            repo.index.check_graph()  # cycles, and two stages with one output
            stages = {stage.name: stage for stage in repo.index.stages if hasattr(stage, "name")}
            if not stages:
                raise DvcException("it is missing, or it declares no stage")
            content = (root / "dvc.lock").read_bytes() if (root / "dvc.lock").is_file() else b"{}"
            lock = parse_yaml(content, "dvc.lock").get("stages", {})
            entries = [entry for each in lock.values() for kind in ("deps", "outs") for entry in each.get(kind, [])]
            if any(entry.get("hash", "md5") != "md5" for entry in entries):
                raise DvcException("dvc.lock: a hash in it is none that DVC knows")
        except _READING_ERRORS as error:
            words = " ".join(": ".join(str(each) for each in (error, error.__cause__) if each).split())
            if "dvc.lock" in words:
                return [*found, f"dvc.lock: DVC cannot read it: {words}; delete it, then {REBUILD}"]
            return found or [f"dvc.yaml: DVC cannot work with it: {words}; {MEND}"]
        outs = [out for stage in stages.values() for out in stage.outs]
        stages_of: dict[str, list[str]] = {}
        for name, stage in stages.items():
            sentences: list[str] = [f"dvc.lock: it lacks {{stages}} of dvc.yaml; {REBUILD}"]
            if name in lock:
                files = [entry for entry in stage.deps if not hasattr(entry, "read_params")]
                sentences = [*_in_lock(stage, files, lock[name], outs), *_in_files(root, stage, files, outs)]
            for sentence in sentences:
                stages_of.setdefault(sentence, []).append(name)
        for name in sorted(lock.keys() - stages.keys()):
            found.append(f"dvc.lock: it holds {name}, which dvc.yaml does not; delete that entry, then {REBUILD}")
        return found + [sentence.replace("{stages}", _named(names)) for sentence, names in stages_of.items()]


def _unreadable(root: Path) -> Iterator[str]:
    rwlock = root / ".dvc/tmp/rwlock"  # where DVC notes who is at work
    try:
        json.loads(rwlock.read_bytes() if rwlock.is_file() else b"{}")
    except ValueError:
        yield f"{rwlock.relative_to(root)}: DVC was killed while it wrote this, and cannot read it; {DELETE}"
    source = str(paths.PARAMS)
    try:
        check_dataset(parse_params(parse_yaml((root / source).read_bytes(), source), source), root)
    except FileNotFoundError:
        yield f"{source}: there is no such file; {MEND}"
    except ParamsError as error:
        yield from (f"{line}; {MEND}" for line in str(error).splitlines())


def _in_lock(stage: Stage, files: list[Entry], locked: dict[str, Any], outs: list[Entry]) -> Iterator[str]:
    """A stage's command, values, dependencies and outputs, and what it read of other stages, against dvc.lock.

    In these sentences {stages} stands for the stage, and for all others of which the same is true.
    """
    if stage.cmd != locked.get("cmd"):
        yield f"dvc.lock: {{stages}} ran {locked.get('cmd')!r}, and dvc.yaml now says {stage.cmd!r}; {REBUILD}"
    values = {entry.def_path: entry.read_params() for entry in stage.deps if entry not in files}
    for file in sorted(values.keys() | locked.get("params", {}).keys()):
        now, then = values.get(file, {}), locked.get("params", {}).get(file, {})
        for key in sorted(key for key in now.keys() | then.keys() if now.get(key, ...) != then.get(key, ...)):
            yield f"{file}: {key} is not what it was when {{stages}} ran; {REBUILD}"
    for kind, declared in (("deps", files), ("outs", stage.outs)):
        in_yaml = {entry.def_path for entry in declared}
        in_lock = {entry["path"] for entry in locked.get(kind, []) if entry.keys() & {"md5", "etag", "checksum"}}
        for path in sorted(in_yaml - in_lock):
            yield f"dvc.lock: it lacks {path}, one of the {kind} of {{stages}}; {REBUILD}"
        for path in sorted(in_lock - in_yaml):
            yield f"dvc.lock: it holds {path}, which dvc.yaml does not have among the {kind} of {{stages}}; {REBUILD}"
    for entry in files:
        parts = [out for out in outs if _lies_in(out, entry)]
        if parts and all(each.hash_info for each in [entry, *parts]) and not _made_of(entry, parts):
            what = f"another {entry.def_path} than {_named([out.stage.name for out in parts])} wrote"
            yield f"dvc.lock: {{stages}} ran with {what}; delete the files that no stage writes, then {REBUILD}"


def _made_of(whole: Entry, parts: list[Entry]) -> bool:
    """Whether a file or folder is made of these outputs, as far as dvc.lock tells."""
    if [out.fs_path for out in parts] == [whole.fs_path]:
        return bool(parts[0].hash_info == whole.hash_info)
    if any(out.hash_info.isdir for out in parts):  # the files in a folder are listed in DVC's cache alone
        size = sum(out.meta.size or 0 for out in parts)
        files = sum(out.meta.nfiles or 0 if out.meta.isdir else 1 for out in parts)
        return (size, files) == (whole.meta.size or 0, whole.meta.nfiles or 0)
    digests = {Path(out.fs_path).relative_to(whole.fs_path).as_posix(): out.hash_info.value for out in parts}
    listing = json.dumps([{"md5": digest, "relpath": path} for path, digest in sorted(digests.items())])
    return bool(whole.hash_info.value == f"{hashlib.md5(listing.encode()).hexdigest()}.dir")


def _in_files(root: Path, stage: Stage, files: list[Entry], outs: list[Entry]) -> Iterator[str]:
    """Code, metrics and data that are here against what the stage ran with or wrote, as dvc.lock has it."""
    for out in stage.outs:
        if out.use_cache:
            yield from _damaged(root, out)
        else:
            yield from _other(out, f"it is not what {{stages}} wrote; take it back from git, or {REBUILD}")
            if out.repo.scm.is_ignored(out.fs_path) and not out.repo.scm.is_tracked(out.fs_path):
                yield f"{out.def_path}: {{stages}} wrote it, and git ignores it; mend .gitignore"
    for entry in files:
        makers = [out for out in outs if _lies_in(out, entry) or _lies_in(entry, out)]
        if not makers:
            yield from _other(entry, f"it changed since {{stages}} ran; {REBUILD}")
        elif not any(out.use_cache for out in makers):  # what is in it lies in git
            for path in sorted(path for path in Path(entry.fs_path).rglob("*") if path.is_file()):
                ignored = entry.repo.dvcignore.is_ignored_file(str(path))
                if not ignored and not any(path.is_relative_to(out.fs_path) for out in makers):
                    file = path.relative_to(root).as_posix()
                    yield f"{file}: {{stages}} reads it, and no stage writes it; delete it, then {REBUILD}"


def _other(entry: Entry, what: str) -> Iterator[str]:
    """What is wrong with a file or folder in git. what: is said of a changed one."""
    file = Path(entry.fs_path)
    if not entry.is_in_repo or not entry.hash_info:
        return  # somebody else's, or said already: dvc.lock lacks it
    if not file.exists():
        use = "ran with" if entry.IS_DEPENDENCY else "wrote"
        yield f"{entry.def_path}: missing, and {{stages}} {use} it; bring it back, or {REBUILD}"
    elif entry.workspace_status():
        yield f"{entry.def_path}: {what}"
    elif entry.hash_name == "md5" and file.is_file() and file.stat().st_size != entry.meta.size:
        yield f"dvc.lock: it has another size for {entry.def_path} of {{stages}} than the file; {REBUILD}"


def _damaged(root: Path, out: Entry) -> Iterator[str]:
    """Files of an output, and their copies in DVC's cache, that are here and have other bytes than its stage wrote."""
    if not out.hash_info or out.hash_name != "md5":
        return
    digests = {Path(out.fs_path): out.hash_info.value}
    listing = Path(out.cache.oid_to_path(out.hash_info.value))
    if out.hash_info.isdir and listing.is_file() and not _is_other(listing, out.hash_info.value):
        digests |= {Path(out.fs_path, file["relpath"]): file["md5"] for file in json.loads(listing.read_bytes())}
    others = [path for path, digest in digests.items() if _is_other(path, digest)]
    if not others and out.exists and out.workspace_status():  # a folder with more files, or fewer
        others = [Path(out.fs_path)]
    for path in others:
        yield f"{path.relative_to(root).as_posix()}: it is not what {{stages}} wrote; {DELETE}"
    for path, digest in digests.items():
        if _is_other(copy := Path(out.cache.oid_to_path(digest)), digest):
            what = f"damaged: its bytes are not those of {path.relative_to(root).as_posix()}, which {{stages}} wrote"
            yield f"{Path(os.path.relpath(copy, root)).as_posix()}: {what}; {DELETE}"


def _is_other(path: Path, digest: str) -> bool:
    """Whether there is a file of other bytes. A folder's digest is that of its listing in DVC's cache."""
    return path.is_file() and hashlib.md5(path.read_bytes()).hexdigest() != digest.removesuffix(".dir")


def _lies_in(inner: Entry, outer: Entry) -> bool:
    return Path(inner.fs_path).is_relative_to(outer.fs_path)


def _named(names: list[str]) -> str:
    names = list(dict.fromkeys(names))
    if len(names) > STAGES_NAMED:
        names = [*names[: STAGES_NAMED - 1], f"{len(names) - STAGES_NAMED + 1} more stages"]
    return listed(names)


def main() -> None:
    """Say what is wrong, and leave with 1 if anything is."""
    argparse.ArgumentParser(prog="python -m glyphline.review.integrity", description=__doc__).parse_args()
    try:
        sys.exit("\n".join(problems(Path())) or 0)
    except GlyphlineError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
