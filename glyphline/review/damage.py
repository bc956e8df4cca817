"""Outputs and their copies in DVC's cache that are not what their stage wrote.

DVC does not read a file again whose time and size it knows, nor one in its cache that is read-only: it restores a
damaged one, and calls it up to date. Here every byte is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dvc_data.hashfile.hash import hash_file
from dvc_data.hashfile.tree import Tree

Stage = Any  # DVC has no type annotations
Output = Any


def damaged(stage: Stage) -> Iterator[tuple[str, str]]:
    """Each file of a stage that is there and has other bytes than dvc.lock says, and what is wrong with it.

    {stages} in the words stands for the stage's name.
    """
    for out in stage.outs:
        if not out.use_cache or not out.hash_info:
            continue
        for path, digest in _digests(out):
            if _is_other(path, digest, out):
                yield _shown(path, out), "it is not what {stages} wrote"
            cached = out.cache.oid_to_path(digest)
            if _is_other(cached, digest, out):
                yield (
                    _shown(cached, out),
                    f"damaged: its bytes are not those of {_shown(path, out)}, which {{stages}} wrote",
                )


def _digests(out: Output) -> Iterator[tuple[str, str]]:
    """The path and the digest of an output, and of each file in it as far as DVC's cache tells."""
    yield out.fs_path, out.hash_info.value
    listing = out.cache.oid_to_path(out.hash_info.value)
    if out.hash_info.isdir and out.fs.isfile(listing) and not _is_other(listing, out.hash_info.value, out):
        for key, _, digest in Tree.load(out.cache, out.hash_info, hash_name=out.hash_name):
            yield out.fs.join(out.fs_path, *key), digest.value


def _is_other(path: str, digest: str, out: Output) -> bool:
    """Whether there is a file of other bytes. A folder's digest is that of its listing in DVC's cache."""
    found = hash_file(path, out.fs, out.hash_name)[1].value if out.fs.isfile(path) else None
    return found is not None and found != digest.removesuffix(".dir")


def _shown(path: str, out: Output) -> str:
    return Path(out.fs.relpath(path, out.repo.root_dir)).as_posix()
