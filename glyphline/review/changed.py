"""The test images whose predictions changed, from DVC's cache or data/raw. Nothing is fetched."""

from __future__ import annotations

import hashlib
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from glyphline import paths
from glyphline.figures.changes import Flip
from glyphline.review.compare import Comparison
from glyphline.review.results import Results

_UNREADABLE = (BadZipFile, EOFError, KeyError, TypeError, ValueError)


@dataclass(frozen=True)
class Changed:
    """Finds what changed in the predictions of a comparison. images: (n, height, width) uint8, the test images."""

    comparison: Comparison
    cache: _Cache
    images: NDArray[np.uint8]

    def flips(self, variant: str) -> tuple[list[Flip], list[Flip]]:
        """The images that the variant lost, and those it gained; the most probable first where that is known."""
        sides = self.comparison.before, self.comparison.after
        was_right, is_right = (results.right(variant) for results in sides)
        if was_right is None or is_right is None:
            return [], []
        of_both = [self._probabilities(results, variant) for results in sides]
        known = None if of_both[0] is None or of_both[1] is None else np.stack([of_both[0], of_both[1]], axis=1)
        flips: tuple[list[Flip], list[Flip]] = [], []
        for changed, found in zip((was_right & ~is_right, ~was_right & is_right), flips, strict=True):
            positions = np.flatnonzero(changed)
            if known is not None:
                positions = positions[np.argsort(-known[positions, 1], kind="stable")]
            for position in positions:
                before, after = (results.class_name(int(results.predictions[variant][position])) for results in sides)
                theirs = None if known is None else (float(known[position, 0]), float(known[position, 1]))
                found.append(Flip(self.images[position], before, after, theirs))
        return flips

    def _probabilities(self, results: Results, variant: str) -> NDArray[np.float32] | None:
        """(n,) the probability of the predicted class, or None where the cache has none to these predictions."""
        try:
            listing = json.loads(self.cache.read(results.outs.get(str(paths.EVALUATION))) or b"[]")
            (digest,) = (each["md5"] for each in listing if each["relpath"] == f"{variant}/probabilities.npy")
            probabilities: NDArray[np.float32] = np.load(io.BytesIO(self.cache.read(digest) or b""))
            of_these = np.array_equal(probabilities.argmax(axis=1), results.predictions[variant])
        except _UNREADABLE:
            return None
        return probabilities.max(axis=1) if of_these else None


def find_changed(repository: Path, comparison: Comparison) -> Changed | None:
    """None where the test images of the comparison are not on this machine."""
    labels, digest = comparison.after.labels, comparison.after.outs.get(str(paths.RAW_TEST))
    if comparison.not_comparable or labels is None or digest is None:
        return None
    cache = _Cache(repository)
    content = cache.read(digest) or _read(repository / paths.RAW_TEST, digest)
    try:
        with np.load(io.BytesIO(content or b"")) as raw:
            images: NDArray[np.uint8] = raw["images"]
    except _UNREADABLE:
        return None
    return Changed(comparison, cache, images) if images.shape[:1] == labels.shape else None


class _Cache:
    """DVC's cache of one repository."""

    def __init__(self, repository: Path) -> None:
        from dvc.repo import Repo

        with Repo(str(repository)) as repo:
            self._store: Any = repo.cache.local

    def read(self, digest: str | None) -> bytes | None:
        """The content that has this digest, or None where the cache lacks it or it is no digest."""
        if digest is None or not re.fullmatch(r"[0-9a-f]{32}(\.dir)?", digest):
            return None
        return _read(Path(self._store.oid_to_path(digest)), digest)


def _read(path: Path, digest: str) -> bytes | None:
    """The file's bytes if they have this digest."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return content if hashlib.md5(content, usedforsecurity=False).hexdigest() == digest.removesuffix(".dir") else None
