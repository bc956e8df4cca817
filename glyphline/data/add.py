"""`glyphline data add`: a user's own pictures to a record and one packed file, after all checks."""

from __future__ import annotations

import csv
import hashlib
import itertools
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glyphline import paths
from glyphline.data.examine import TEST, TRAIN, Look, look_at
from glyphline.data.examples import Source, natural
from glyphline.data.fit import fitted
from glyphline.data.pack import read_pack, write_pack
from glyphline.data.pictured import group
from glyphline.data.records import LARGEST_SIDE, SMALLEST_SIDE, Dataset, load_dataset
from glyphline.data.sources import Options, open_sources
from glyphline.data.splits import Labels
from glyphline.errors import DataError, GlyphlineError, ParamsError, printable

TEST_SHARE = 0.2  # of each class, where the source has no labelled test images
MOST_TEST = 20_000  # images that are held out of a large set
FEWEST = 5  # images of a class, so that some are left to train, to validate and to test
FEWEST_TRAIN = 3
IMBALANCE = 5  # times as many images of the most frequent class as of the rarest let balanced accuracy lead
NAMED = 5  # of what is wrong, named one by one
LISTED = 1000  # of the unreadable files, that a record lists

Digest = bytes
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_NOT_NAMES = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}  # which YAML reads as something else


@dataclass(frozen=True)
class Request:
    """What the command line asks for; None where it is to be inferred."""

    sources: Sequence[str]
    name: str
    title: str | None = None
    licence: str | None = None
    citation: str | None = None
    side: int | None = None
    channels: int | None = None
    inverted: bool | None = None
    transposed: bool = False
    label_from: str | None = None
    label_column: str | None = None
    group_by: str | None = None
    skip_unreadable: bool = False
    drop_conflicts: bool = False
    drop_rare: bool = False


@dataclass
class Imported:
    """A data set ready to be written.

    images: (n, side, side) or (n, side, side, 3) uint8. labels: (n,), positions in class_names. is_test: (n,). keys:
    (n,) paths, where they have any. found: for the record. said: what was counted, inferred and left out. problems:
    what forbids to write it. Both are lines.
    """

    request: Request
    look: Look
    images: NDArray[np.uint8]
    labels: NDArray[np.int32]
    is_test: NDArray[np.bool_]
    class_names: list[str]
    keys: list[str | None]
    found: dict[str, Any] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def examine(request: Request) -> Imported:
    """Read everything, prepare the images and check them. Nothing is written. Raises GlyphlineError."""
    check_name(request.name)
    if request.side is not None and not SMALLEST_SIDE <= request.side <= LARGEST_SIDE:
        raise ParamsError(f"--side {request.side}: expected {SMALLEST_SIDE} to {LARGEST_SIDE} pixels")
    options = Options(_pattern(request.label_from, "--label-from"), request.label_column)
    groups = _pattern(request.group_by, "--group-by")
    with tempfile.TemporaryDirectory(prefix="glyphline-") as scratch:
        source = open_sources(request.sources, options, Path(scratch))
        look = look_at(source, request.side, request.channels, request.inverted)
        return _checked(request, source, look, groups)


def check_name(name: str) -> None:
    """Raise ParamsError for a name that a data set of a user's cannot have."""
    if not NAME.fullmatch(name) or name.lower() in _NOT_NAMES:
        raise ParamsError(f"--name {printable(name)}: expected a letter, then letters, digits, - or _, 64 at most")
    if paths.dataset(name).exists() and load_dataset(name).pack is None:
        raise ParamsError(f"--name {name}: {paths.dataset(name)} is a data set of its publisher's; choose another name")


def _pattern(text: str | None, option: str) -> re.Pattern[str] | None:
    try:
        return None if text is None else re.compile(text)
    except re.error as error:
        raise ParamsError(f"{option} {text}: this is no regular expression: {error}") from None


def _checked(request: Request, source: Source, look: Look, groups: re.Pattern[str] | None) -> Imported:
    order = _order(look)
    images = np.empty((len(order), look.side, look.side, *((3,) if look.channels == 3 else ())), np.uint8)
    place = np.full(len(look.labels), -1, np.int64)
    place[order] = np.arange(len(order))
    count = 0
    for number, example in enumerate(source.read(look.values)):
        if number >= len(place) or (isinstance(example.pixels, str) and place[number] >= 0):
            raise DataError(f"{example.where}: it changed while it was read; run the command again")
        count = number + 1
        if place[number] >= 0:
            images[place[number]] = fitted(
                example.pixels,  # type: ignore[arg-type]  # no sentence: it was usable
                look.side,
                look.channels,
                inverted=look.inverted,
                transposed=request.transposed,
            )
    if count != len(place):
        raise DataError(f"{request.sources[0]}: it changed while it was read; run the command again")
    keys = [look.keys[number] for number in order]
    result = Imported(request, look, images, look.labels[order], look.splits[order] == TEST, look.class_names, keys)
    _Checks(result, groups).run()
    return result


def _order(look: Look) -> NDArray[np.int64]:
    """The examples that are used, in the order of the pack: as arrays have them, pictures by their file's name.

    Numbered files come in the order of their numbers, whatever folders they lie in.
    """
    usable = np.flatnonzero(look.usable & (look.labels >= 0))
    if any(look.keys[number] is None for number in usable):
        return usable

    def key(number: int) -> tuple[Any, ...]:
        path = look.keys[number] or ""
        return look.splits[number], natural(path.rpartition("/")[2]), natural(path)

    return np.array(sorted(usable.tolist(), key=key), np.int64)


@dataclass
class _Checks:
    """What is done to an import between its images and its record, one thing after the other."""

    result: Imported
    groups: re.Pattern[str] | None

    def run(self) -> None:
        result, look = self.result, self.result.look
        self.digests = [hashlib.sha256(image.tobytes()).digest()[:16] for image in result.images]
        self.kept = np.ones(len(result.labels), bool)
        self._say_what_was_read()
        self._unreadable()
        self._unlabelled()
        if not len(result.images):
            if not result.problems:
                self.refuse(f"{result.request.sources[0]}: none of its images can be used")
            return
        if len(look.class_names) < 2:
            self.refuse(
                f"{result.request.sources[0]}: {len(look.class_names)} class was found, and it takes two; "
                "docs/own-data.md says where classes are looked for"
            )
            return
        self._similar_names()
        self._conflicts()
        self._duplicates()
        self._blank()
        if result.is_test.any():
            result.found["test"] = "the labelled test images of the source"
        else:
            self._hold_out()
        self._leaks()
        self._rare()
        self._finish()

    def say(self, line: str, **found: Any) -> None:
        self.result.said.append(line)
        self.result.found |= found

    def refuse(self, line: str) -> None:
        self.result.problems.append(line)

    def _named(self, classes: NDArray[np.bool_]) -> str:
        return ", ".join(printable(self.result.class_names[label]) for label in np.flatnonzero(classes)[:NAMED])

    def _say_what_was_read(self) -> None:
        look, request = self.result.look, self.result.request
        smallest, median, largest = look.sizes
        self.say(f"{len(look.labels):,} images read as {look.kind}", images=len(look.labels), read_as=look.kind)
        self.say(
            f"{look.side}x{look.side} pixels{'' if request.side else ', inferred'}, in "
            f"{'grey' if look.channels == 1 else 'colour'}{'' if request.channels else ', inferred'}: their longer "
            f"sides go from {smallest} to {largest} pixels, the median is {median}",
            longer_sides=[smallest, median, largest],
        )
        if look.channels == 1:
            what = "dark on light, so turned over" if look.inverted else "light on dark, so left as they are"
            self.say(f"{what}{', as asked' if request.inverted is not None else ', inferred from their edges'}")
        if look.values not in (None, (0.0, 255.0)):
            assert look.values is not None
            self.say(f"values from {look.values[0]:g} to {look.values[1]:g} become 0 to 255", values=list(look.values))
        if request.transposed:
            self.say("rows and columns change places")
        if look.has_validation:
            self.say("its validation images join the training images: the pipeline holds out its own")
        for note in look.notes:
            self.say(note)
        if look.notes:
            self.result.found["notes"] = look.notes

    def _unreadable(self) -> None:
        unreadable = self.result.look.unreadable
        if not unreadable:
            return
        if self.result.request.skip_unreadable:
            self.say(f"left out: {_counted(len(unreadable), 'unreadable file')}", unreadable=unreadable[:LISTED])
            return
        self.result.said += unreadable
        self.refuse(
            f"{_counted(len(unreadable), 'file')} cannot be read, the first: {unreadable[0]}; mend them, or leave them "
            "out with --skip-unreadable"
        )

    def _unlabelled(self) -> None:
        look = self.result.look
        without = (look.labels < 0) & look.usable
        of_test = int((without & (look.splits == TEST)).sum())
        others = np.flatnonzero(without & (look.splits == TRAIN))
        if of_test:
            self.say(
                f"left out: {_counted(of_test, 'test image')} without labels, which are no test set here",
                unlabelled_test=of_test,
            )
        if len(others):
            first = look.keys[int(others[0])]
            named = f", the first: {printable(first)}" if first else ""
            self.refuse(
                f"{_counted(len(others), 'image')} without a label{named}; put them into a class, or elsewhere, or say "
                "where the label stands with --label-from or --label-column"
            )

    def _similar_names(self) -> None:
        folded: dict[str, list[str]] = {}
        for name in self.result.look.class_names:
            folded.setdefault(name.casefold(), []).append(name)
        alike = [names for names in folded.values() if len(names) > 1]
        if alike:
            pairs = ", ".join(" and ".join(map(printable, names)) for names in alike[:NAMED])
            self.say(f"names of classes that differ in case alone: {pairs}", alike_but_for_case=len(alike))

    def _conflicts(self) -> None:
        classes_of: dict[Digest, set[int]] = {}
        for digest, label in zip(self.digests, self.result.labels.tolist(), strict=True):
            classes_of.setdefault(digest, set()).add(label)
        wrong = {digest for digest, classes in classes_of.items() if len(classes) > 1}
        if not wrong:
            return
        places = [number for number, digest in enumerate(self.digests) if digest in wrong]
        if self.result.request.drop_conflicts:
            self.kept[places] = False
            self.say(f"left out: {len(places):,} images that occur under several labels", conflicts=len(places))
            return
        first = self.digests[places[0]]
        names = " and ".join(printable(self.result.class_names[label]) for label in sorted(classes_of[first]))
        same = [key for key, digest in zip(self.result.keys, self.digests, strict=True) if digest == first and key]
        files = f" ({', '.join(printable(key) for key in same[:3])})" if same else ""
        self.refuse(
            f"under several labels: {_counted(len(wrong), 'image')}, the first under {names}{files}; mend the labels, "
            "or leave these images out with --drop-conflicts"
        )

    def _duplicates(self) -> None:
        again = len(self.digests) - len(set(self.digests))
        if again:
            self.say(f"pixel for pixel the same as another one: {_counted(again, 'image')}", repeated=again)

    def _blank(self) -> None:
        images = self.result.images
        flat = images.reshape(len(images), -1)
        blank = sum(int((part == part[:, :1]).all(axis=1).sum()) for part in _parts(flat))
        if blank:
            self.say(f"blank, all pixels the same: {_counted(blank, 'image')}", blank=blank)

    def _hold_out(self) -> None:
        """Choose test images by a digest of the pixels, at least one a class, or of what --group-by finds.

        A fifth, fewer of large sets, or the share of an earlier record.
        """
        result = self.result
        if self.groups is not None and any(key is None for key in result.keys):
            raise ParamsError("--group-by: it looks at the names of files, and these images have none")
        share = min(TEST_SHARE, MOST_TEST / max(len(self.digests), 1))
        before = self._before()
        if before is not None:
            share = before.found.get("test_share", share)
        owned: list[Digest] = self.digests
        if self.groups is not None:
            owned = [self._group_of(key or "") for key in result.keys]
        drawn = np.array([int.from_bytes(digest[:8]) / 2**64 for digest in owned])
        result.is_test = drawn < share
        if self.groups is None:
            for label in range(len(result.class_names)):
                of_class = np.flatnonzero(self.kept & (result.labels == label))
                if len(of_class) and not result.is_test[of_class].any():  # at least one of each class
                    lowest = drawn[of_class].min()
                    result.is_test[of_class[drawn[of_class] == lowest]] = True
            if before is not None:
                result.is_test |= self._were_test(before)
        what = "groups" if self.groups is not None else "the images"
        self.say(f"no labelled test images: {share:.3g} of {what} are held out, chosen by a digest", test_share=share)
        result.found["test"] = "held out by a digest of " + ("the group" if self.groups is not None else "the pixels")

    def _group_of(self, key: str) -> Digest:
        assert self.groups is not None
        found = self.groups.search(key)
        if found is None:
            raise ParamsError(f"--group-by {self.groups.pattern}: it finds nothing in {printable(key)}")
        return hashlib.sha256(group(found).encode()).digest()[:16]

    def _before(self) -> Dataset | None:
        """The record that an earlier import under this name wrote."""
        name = self.result.request.name
        return load_dataset(name) if paths.dataset(name).is_file() else None

    def _were_test(self, before: Dataset) -> NDArray[np.bool_]:
        try:
            _, (images, _) = read_pack(self.result.request.name, before)
        except GlyphlineError:
            return np.zeros(len(self.digests), bool)  # the digest alone decides
        tested = {hashlib.sha256(image.tobytes()).digest()[:16] for image in images}
        return np.array([digest in tested for digest in self.digests])

    def _leaks(self) -> None:
        """Training images that are test images too are no training images."""
        is_test = self.result.is_test
        tested = {digest for digest, test, kept in zip(self.digests, is_test, self.kept, strict=True) if test and kept}
        leaking = np.array([digest in tested for digest in self.digests]) & ~is_test & self.kept
        if leaking.any():
            self.kept &= ~leaking
            self.say(
                f"left out: {_counted(int(leaking.sum()), 'training image')}, pixel for pixel in the test set too",
                leaking=int(leaking.sum()),
            )

    def _rare(self) -> None:
        result = self.result
        classes = len(result.class_names)
        of_train, of_test = (
            np.bincount(result.labels[self.kept & (result.is_test == part)], minlength=classes)
            for part in (False, True)
        )
        if not result.look.splits.any():
            few = (of_train + of_test < FEWEST) | (of_train < FEWEST_TRAIN)
            need = f"{FEWEST} images, {FEWEST_TRAIN} of them to train"
        else:
            few, need = of_train < FEWEST_TRAIN, f"{FEWEST_TRAIN} training images"
        unseen = (of_train == 0) & (of_test > 0)
        if unseen.any() and result.look.splits.any():
            self.refuse(
                f"classes with test images and no training images: {unseen.sum():,}, {self._named(unseen)}; are the "
                "folders of the splits named alike?"
            )
            return
        if few.any():
            named = ", ".join(
                f"{printable(result.class_names[label])} ({of_train[label] + of_test[label]})"
                for label in np.flatnonzero(few)[:NAMED]
            )
            if not result.request.drop_rare:
                self.refuse(
                    f"classes with too few images, less than {need}: {few.sum():,}, {named}; add some, or leave these "
                    "classes out with --drop-rare"
                )
                return
            self.kept &= ~few[result.labels]
            self.say(f"left out: {few.sum():,} classes with too few images, {named}", rare_classes=int(few.sum()))
        untested = (of_test == 0) & ~few
        if untested.any():
            count = int(untested.sum())
            self.say(f"classes without a test image: {count:,}, {self._named(untested)}", untested_classes=count)

    def _finish(self) -> None:
        """Leave out what is not kept, and number the classes that are left."""
        result = self.result
        left = np.unique(result.labels[self.kept])
        numbers = np.full(len(result.class_names), -1, np.int32)
        numbers[left] = np.arange(len(left))
        if not self.kept.all():
            result.images = result.images[self.kept]
            result.is_test = result.is_test[self.kept]
            result.labels = result.labels[self.kept]
            result.keys = list(itertools.compress(result.keys, self.kept))
        result.labels = numbers[result.labels]
        result.class_names = [result.class_names[label] for label in left]
        train, test = (int((result.is_test == part).sum()) for part in (False, True))
        if len(left) < 2 or not train or not test:
            self.refuse(
                f"left are {train:,} training and {test:,} test images of {len(left)} classes, and it takes some of "
                "both and two classes"
            )
            return
        counts = np.bincount(result.labels[~result.is_test], minlength=len(left))
        self.say(
            f"{train:,} training and {test:,} test images of {len(left):,} classes, from {counts.min():,} to "
            f"{counts.max():,} training images a class"
        )
        if counts.max() > IMBALANCE * counts.min():
            self.say(
                "the classes are uneven, so balanced accuracy leads",
                imbalance=round(float(counts.max() / max(counts.min(), 1)), 1),
            )


def _counted(n: int, thing: str) -> str:
    return f"{n:,} {thing}{'' if n == 1 else 's'}"


def _parts(array: NDArray[np.uint8], rows: int = 10_000) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, len(array), rows):
        yield array[start : start + rows]


def write_files_table(imported: Imported, path: Path) -> None:
    """Write file, class, split and the first digits of the SHA-256 of the pixels of each image that has a file."""
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "label", "split", "pixels"])
        rows = zip(imported.keys, imported.labels, imported.is_test, imported.images, strict=True)
        for key, label, is_test, image in rows:
            pixels = hashlib.sha256(image.tobytes()).hexdigest()[:12]
            table.writerow([key, imported.class_names[label], "test" if is_test else "train", pixels])


def write(imported: Imported) -> None:
    """Write pack and record, and let DVC track the pack. Raises GlyphlineError.

    Each file is written beside its place and then moved there, the record last.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.scm import SCMError
    from ruamel.yaml import YAML

    request, look = imported.request, imported.look
    pack, record = paths.pack(request.name), paths.dataset(request.name)
    partial, written = (path.with_name(f".{path.name}.partial") for path in (pack, record))
    few = len(imported.class_names) <= 256
    labels: Labels = imported.labels.astype(np.uint8) if few else imported.labels.astype(np.uint16)
    pack.parent.mkdir(exist_ok=True)
    try:
        parts = [(imported.images[of], labels[of]) for of in (~imported.is_test, imported.is_test)]
        digest = write_pack(partial, parts[0], parts[1])
        values = {
            "title": request.title or request.name,
            "licence": request.licence or "not stated",
            "citation": request.citation or "not stated",
            "leading_metric": "balanced_accuracy" if "imbalance" in imported.found else "accuracy",
            "class_names": imported.class_names,
            "side": look.side,
            "channels": look.channels,
            "pack": {"digest": digest, "train": len(parts[0][1]), "test": len(parts[1][1])},
            "pictures": {
                "how": "fitted",
                "inverted": look.inverted,
                "transposed": request.transposed,
                "values": list(look.values) if look.values and imported.look.kind.startswith("pictures") else None,
            },
            "found": imported.found,
        }
        Dataset.model_validate(values)
        yaml = YAML()
        yaml.width, yaml.allow_unicode = 120, True
        with written.open("w", encoding="utf-8") as file:
            file.write("# Written by glyphline data add; title, licence and citation are yours to edit.\n")
            yaml.dump(values, file)
        partial.replace(pack)
        try:
            # Git is told too: an experiment in the queue has what git knows, and nothing else.
            with Repo(config={"core": {"autostage": True}}) as repo:
                repo.add(str(pack))
                written.replace(record)
                repo.scm.add([str(record), str(pack.with_name(".gitignore"))])
        except (DvcException, SCMError, OSError) as error:
            reason = " ".join(str(error).split())
            raise GlyphlineError(f"{pack}: DVC cannot track it: {reason}") from None
    finally:
        for path in (partial, written):
            path.unlink(missing_ok=True)
