"""What is wrong between params.yaml, dvc.yaml, dvc.lock and the files in git.

DVC tells it from the files alone: nothing is run, and no data has to be there. So a fresh clone can be judged, and so
can any revision without checking it out. The data that are there are read in full.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from dvc.dependency import ParamsDependency
from dvc.exceptions import DvcException
from dvc.fs import LocalFileSystem
from dvc.repo import Repo
from dvc.stage import PipelineStage
from dvc_data.hashfile.hash import hash_file
from dvc_data.hashfile.tree import Tree

from glyphline import paths
from glyphline.config import parse_params
from glyphline.errors import GlyphlineError, ParamsError
from glyphline.review.damage import damaged
from glyphline.schema import parse_yaml

REBUILD = "run: dvc repro, and commit dvc.lock and metrics/"
DELETE = "delete it, then run: dvc repro"
PIPELINE, LOCK = "dvc.yaml", "dvc.lock"
HASH = "md5"  # the only one that DVC 3 writes
STAGES_NAMED = 3  # at most, in one sentence: a module may concern every stage there is
# What ruamel.yaml lets through besides DVC's own: a thirteenth month, 5,000 digits, thousands of brackets.
_READING_ERRORS = (DvcException, ArithmeticError, LookupError, RecursionError, ValueError)

Stage = Any  # DVC has no type annotations
Entry = Any  # a dependency or an output of a stage


class Finding(NamedTuple):
    """One thing that is wrong with one stage; `what` says {stages} where it names all the stages that share it."""

    file: str
    what: str
    advice: str
    stage: str


@dataclass(frozen=True)
class Pipeline:
    """What dvc.yaml declares, filled by DVC with the digests in dvc.lock, and the entries of dvc.lock."""

    repo: Any
    stages: list[Stage]
    lock: dict[str, dict[str, Any]]

    @property
    def outs(self) -> list[Entry]:
        return [out for stage in self.stages for out in stage.outs]

    @property
    def entries(self) -> list[dict[str, Any]]:
        """What dvc.lock says of each dependency and each output."""
        return [entry for stage in self.lock.values() for kind in ("deps", "outs") for entry in stage.get(kind, [])]


def problems(repository: Path, revision: str | None = None) -> list[str]:
    """What is wrong in a revision, or, without one, in the working tree: a sentence each; [] where all is well.

    A sentence names the file and the stages, and says what to do. Wrong is: a dvc.yaml or dvc.lock that DVC cannot
    read; a params.yaml against its schema; a dvc.lock that holds other stages, commands, values, code, dependencies or
    outputs than there are now; a stage that ran with something else than the stage before it wrote; a metric in git
    that is missing or is not what its stage wrote. In the working tree alone: an output, or its copy in DVC's cache,
    that is there and is not what its stage wrote; a note of DVC's own that it cannot read. Raises GlyphlineError where
    there is no DVC repository or no such revision.
    """
    try:
        repo = Repo(str(repository), rev=revision)
    except DvcException as error:
        raise GlyphlineError(f"{repository}: {_words(error)}") from None
    with repo:
        in_the_way, wrong_values = _in_the_way(repo), _in_params(repo)
        try:
            pipeline = _read(repo)
        except _READING_ERRORS as error:
            return [*in_the_way, *(wrong_values or [_unreadable(error)])]
        if any(entry.get("hash", HASH) != HASH for entry in pipeline.entries):
            strange = DvcException(f"{LOCK}: a hash in it is none that DVC knows")
            return [*in_the_way, *wrong_values, _unreadable(strange)]
        return [*in_the_way, *wrong_values, *_sentences(_findings(pipeline))]


def _in_the_way(repo: Any) -> list[str]:
    """The file in which DVC notes who is at work, where it was killed while it wrote it: it does nothing more then."""
    path = Path(repo.tmp_dir or "") / "rwlock"
    if isinstance(repo.fs, LocalFileSystem) and path.is_file():
        try:
            json.loads(path.read_bytes())
        except ValueError:
            shown = path.relative_to(repo.root_dir).as_posix()
            return [f"{shown}: DVC was killed while it wrote this, and cannot read it; {DELETE}"]
    return []


def _in_params(repo: Any) -> list[str]:
    advice = f"mend it, then {REBUILD}"
    source = str(paths.PARAMS)
    try:
        content = repo.fs.cat_file(repo.fs.join(repo.root_dir, source))
        parse_params(parse_yaml(content, source), source)
    except FileNotFoundError:
        return [f"{source}: there is no such file; {advice}"]
    except ParamsError as error:
        return [f"{line}; {advice}" for line in str(error).splitlines()]
    return []


def _read(repo: Any) -> Pipeline:
    repo.index.check_graph()  # cycles, and two stages with one output
    stages = [stage for stage in repo.index.stages if isinstance(stage, PipelineStage)]
    if not stages:
        raise DvcException("it is missing, or it declares no stage")
    return Pipeline(repo, stages, stages[0].dvcfile.lockfile_contents.get("stages", {}))


def _unreadable(error: BaseException) -> str:
    words = _words(error)
    if LOCK in words:
        return f"{LOCK}: DVC cannot read it: {words}; delete it, then {REBUILD}"
    return f"{PIPELINE}: DVC cannot work with it: {words}; mend it, then {REBUILD}"


def _words(error: BaseException | None) -> str:
    """What an error of DVC's, and those behind it, say: on one line, and the same wherever the repository lies."""
    words = []
    while error:
        words.append(" ".join(str(error).split()))
        error = error.__cause__
    text = re.sub(r" in revision '\w+'", "", ": ".join(words))
    text = re.sub(r"[^\s':]*/(dvc\.yaml|dvc\.lock|params\.yaml)", r"\1", text).replace(f"{PIPELINE}:", "")
    head, colon, stages = text.rpartition(" in stages: ")  # of a cycle, which DVC names in any order
    return f"{head}{colon}{', '.join(sorted(stages.rstrip('.').split(', ')))}"


def _findings(pipeline: Pipeline) -> Iterator[Finding]:
    for stage in pipeline.stages:
        if stage.name in pipeline.lock:
            yield from _other_than_declared(stage, pipeline.lock[stage.name])
            yield from _other_values(stage, pipeline.lock[stage.name].get("params", {}))
            yield from _other_than_written(stage, pipeline.outs)
            yield from _other_files(stage, pipeline)
            if isinstance(pipeline.repo.fs, LocalFileSystem):
                yield from (Finding(file, what, DELETE, stage.name) for file, what in damaged(stage))
        else:
            yield Finding(LOCK, "it lacks {stages} of dvc.yaml", REBUILD, stage.name)
    for name in sorted(pipeline.lock.keys() - {stage.name for stage in pipeline.stages}):
        yield Finding(LOCK, "it holds {stages}, which dvc.yaml does not", f"delete that entry, then {REBUILD}", name)


def _other_than_declared(stage: Stage, locked: dict[str, Any]) -> Iterator[Finding]:
    """Command, dependencies and outputs in dvc.yaml against those in dvc.lock."""
    if stage.changed_stage():
        what = f"{{stages}} ran {locked.get('cmd')!r}, and dvc.yaml now says {stage.cmd!r}"
        yield Finding(LOCK, what, REBUILD, stage.name)
    for kind, declared in (("deps", _files_read(stage)), ("outs", stage.outs)):
        in_yaml, in_lock = {entry.def_path for entry in declared}, {entry["path"] for entry in locked.get(kind, [])}
        for path in sorted(in_yaml - in_lock):
            yield Finding(LOCK, f"it lacks {path}, one of the {kind} of {{stages}}", REBUILD, stage.name)
        for path in sorted(in_lock - in_yaml):
            what = f"it holds {path}, which dvc.yaml does not have among the {kind} of {{stages}}"
            yield Finding(LOCK, what, REBUILD, stage.name)


def _other_values(stage: Stage, locked: dict[str, dict[str, Any]]) -> Iterator[Finding]:
    """Parameters as they are now against those that the stage ran with."""
    declared = {entry.def_path: entry.read_params() for entry in stage.deps if isinstance(entry, ParamsDependency)}
    for file in sorted(declared.keys() | locked.keys()):
        now, then = dict(_leaves(declared.get(file, {}))), dict(_leaves(locked.get(file, {})))
        for key in sorted(now.keys() | then.keys()):
            if key in now and key in then and now[key] == then[key]:
                continue  # 1 and 1.0 are the same to DVC, which would not run the stage again
            is_now, was_then = (repr(values[key]) if key in values else "unset" for values in (now, then))
            what = f"{key} is {is_now}, and was {was_then} when {{stages}} ran"
            yield Finding(file, what, REBUILD, stage.name)


def _leaves(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _other_than_written(stage: Stage, outs: Iterable[Entry]) -> Iterator[Finding]:
    """What the stage read against what the stages before it wrote, both as dvc.lock has them."""
    for entry in _files_read(stage):
        parts = [out for out in outs if _lies_in(out, entry)]
        if parts and entry.hash_info and all(out.hash_info for out in parts) and not _made_of(entry, parts):
            what = f"{{stages}} ran with another {entry.def_path} than {_named(out.stage.name for out in parts)} wrote"
            yield Finding(LOCK, what, f"delete the files that no stage writes, then {REBUILD}", stage.name)


def _made_of(whole: Entry, parts: list[Entry]) -> bool:
    """Whether a file or folder is made of these outputs, as far as dvc.lock tells."""
    if [out.fs_path for out in parts] == [whole.fs_path]:
        return bool(parts[0].hash_info == whole.hash_info)
    if any(out.hash_info.isdir for out in parts):  # the files in a folder are listed in DVC's cache alone
        size = sum(out.meta.size or 0 for out in parts)
        files = sum(out.meta.nfiles or 0 if out.meta.isdir else 1 for out in parts)
        return (size, files) == (whole.meta.size or 0, whole.meta.nfiles or 0)
    tree = Tree()
    for out in parts:
        tree.add(out.fs.relparts(out.fs_path, whole.fs_path), out.meta, out.hash_info)
    tree.digest()
    return bool(tree.hash_info == whole.hash_info)


def _other_files(stage: Stage, pipeline: Pipeline) -> Iterator[Finding]:
    """Code and metrics, which lie in git, against what the stage ran with or wrote."""
    fs, scm = pipeline.repo.fs, pipeline.repo.scm
    for out in stage.outs:
        if not out.use_cache:
            yield from _other_file(out, "it is not what {stages} wrote", f"take it back from git, or {REBUILD}")
            if isinstance(fs, LocalFileSystem) and scm.is_ignored(out.fs_path) and not scm.is_tracked(out.fs_path):
                yield Finding(out.def_path, "{stages} wrote it, and git ignores it", "mend .gitignore", stage.name)
    for entry in _files_read(stage):
        makers = [out for out in pipeline.outs if _lies_in(out, entry) or _lies_in(entry, out)]
        if not makers:
            yield from _other_file(entry, "it changed since {stages} ran", REBUILD)
        elif not any(out.use_cache for out in makers):
            for path in sorted(set(fs.find(entry.fs_path)) - {out.fs_path for out in makers}):
                file = "/".join(fs.relparts(path, pipeline.repo.root_dir))
                yield Finding(
                    file, "{stages} reads it, and no stage writes it", f"delete it, then {REBUILD}", stage.name
                )


def _other_file(entry: Entry, what: str, advice: str) -> Iterator[Finding]:
    file, stage = entry.def_path, entry.stage.name
    if not entry.is_in_repo or not entry.hash_info:
        return  # somebody else's, or said already: dvc.lock lacks it
    if not entry.exists:
        use = "ran with" if entry.IS_DEPENDENCY else "wrote"
        yield Finding(file, f"missing, and {{stages}} {use} it", f"bring it back, or {REBUILD}", stage)
    elif entry.workspace_status():
        if _digest_with_unix_lines(entry) == entry.hash_info.value:
            what = "its lines end as on Windows, and as on Unix when {stages} ran"
            advice = "turn git's core.autocrlf off and check it out again"
        yield Finding(file, what, advice, stage)
    elif entry.hash_name == "md5" and entry.isfile() and entry.fs.size(entry.fs_path) != entry.meta.size:
        yield Finding(LOCK, f"it has another size for {file} of {{stages}} than the file", REBUILD, stage)


def _digest_with_unix_lines(entry: Entry) -> str | None:
    """The digest that a text file would have if its lines ended with a line feed alone, as DVC 2 took it."""
    return hash_file(entry.fs_path, entry.fs, "md5-dos2unix")[1].value if entry.isfile() else None


def _files_read(stage: Stage) -> list[Entry]:
    return [entry for entry in stage.deps if not isinstance(entry, ParamsDependency)]


def _lies_in(inner: Entry, outer: Entry) -> bool:
    return bool(inner.fs_path == outer.fs_path or inner.fs.isin(inner.fs_path, outer.fs_path))


def _sentences(findings: Iterable[Finding]) -> list[str]:
    """One sentence for each thing that is wrong, with all the stages that it concerns."""
    stages: dict[tuple[str, str, str], list[str]] = {}
    for file, what, advice, stage in findings:
        stages.setdefault((file, what, advice), []).append(stage)
    return [
        f"{file}: {what.replace('{stages}', _named(names))}; {advice}" for (file, what, advice), names in stages.items()
    ]


def _named(stages: Iterable[str]) -> str:
    names = list(dict.fromkeys(stages))
    if len(names) > STAGES_NAMED:
        names = [*names[: STAGES_NAMED - 1], f"{len(names) - STAGES_NAMED + 1} more stages"]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def main() -> None:
    """Say what is wrong, and leave with 1 if anything is."""
    parser = argparse.ArgumentParser(prog="python -m glyphline.review.integrity", description=__doc__)
    parser.add_argument("revision", nargs="?", metavar="REVISION", help="default: the working tree")
    try:
        found = problems(Path(), parser.parse_args().revision)
    except GlyphlineError as error:
        sys.exit(str(error))
    sys.exit("\n".join(found) if found else 0)


if __name__ == "__main__":
    main()
