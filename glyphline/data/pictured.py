"""Picture files in a folder or an archive, and how each got its label."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from glyphline.data.examples import SPLITS, Example, Range, normalised
from glyphline.data.files import PICTURE_NAMES, is_picture
from glyphline.data.fit import as_levels
from glyphline.data.pictures import decode_picture
from glyphline.data.tree import Entry, Tree
from glyphline.errors import FormatError, PictureError, printable

Placed = tuple[str, str | None]  # split and label


@dataclass
class PictureSource:
    """Pictures of a tree. place: split and label of a picture by its name in the tree."""

    tree: Tree
    kind: str
    place: Callable[[str], Placed]
    split: str = ""
    is_pictures: bool = True
    _others: Counter[str] = field(default_factory=Counter)

    @property
    def notes(self) -> list[str]:
        return [
            *(f"{count:,} {reason}: ignored" for reason, count in sorted(self.tree.ignored.items()) if count),
            *(
                f"{count:,} {'files' if count > 1 else 'file'} "
                f"{f'ending in {suffix}' if suffix else 'without an ending'}, "
                "no pictures: ignored"
                for suffix, count in sorted(self._others.items())
            ),
        ]

    def read(self, values: Range | None) -> Iterator[Example]:
        self._others.clear()
        for entry in self.tree:
            if not could_be_picture(entry):
                self._others[PurePosixPath(entry.name).suffix.lower()] += 1
                continue
            split, label = self.place(entry.name)
            where = f"{self.tree.path}: {printable(entry.name)}"
            try:
                picture = decode_picture(entry.stream, values)
            except PictureError as error:
                yield Example(where, entry.name, self.split or split, label, str(error))
                continue
            yield Example(where, entry.name, self.split or split, label, as_levels(picture.colours), picture.values)


def could_be_picture(entry: Entry) -> bool:
    """Whether a file is a picture by its content, or is called one."""
    return is_picture(entry.head) or PurePosixPath(entry.name).suffix.lower() in PICTURE_NAMES


def by_folder(names: list[str], where: str) -> tuple[str, Callable[[str], Placed]]:
    """What the folders of these pictures mean, in words, and as split and label of a picture.

    Folders that all pictures share say nothing. What is called train, validation or test, first or last, is a split;
    the rest of the path is the class. Raises FormatError where no folder tells one picture from another.
    """
    folders = {PurePosixPath(name).parent.parts for name in names}
    shared = _shared(folders)
    rests = {folder[shared:] for folder in folders}
    at: int | None = None
    for place in (0, -1):
        if all(rest and rest[place].lower() in SPLITS for rest in rests) and len(
            {SPLITS[rest[place].lower()] for rest in rests}
        ) > (0 if place == 0 else 1):
            at = place
            break
    below = {_without(rest, at) for rest in rests}
    labelled = {rest for rest in below if rest}
    further = min(_shared(labelled), min((len(rest) for rest in labelled), default=1) - 1)
    if not labelled:
        raise FormatError(
            f"{where}: its pictures lie in no folders that name their classes; put each class in a folder of its own, "
            "or say where in the file's name the class stands, with --label-from"
        )

    def place_of(name: str) -> Placed:
        rest = PurePosixPath(name).parent.parts[shared:]
        split = SPLITS[rest[at].lower()] if at is not None else ""
        label = _without(rest, at)[further:]
        return split, normalised("/".join(label)) or None

    return "a folder for each class" + (" in a folder for each split" if at is not None else ""), place_of


def by_name(pattern: re.Pattern[str]) -> Callable[[str], Placed]:
    """The label is what the pattern finds in the path: its group `label`, else its first group, else all of it."""

    def place_of(name: str) -> Placed:
        parts = [SPLITS.get(part.lower(), "") for part in PurePosixPath(name).parts[:-1]]
        split = next((part for part in parts if part), "")
        found = pattern.search(name)
        return split, normalised(group(found)) or None if found else None

    return place_of


def group(found: re.Match[str]) -> str:
    """The group `label` of a match, else its first group, else all of it."""
    if "label" in found.re.groupindex:
        return found["label"] or ""
    return (found[1] if found.re.groups else found[0]) or ""


def ends_of(name: str) -> set[str]:
    """What a table may call a file: its path, any end of it, or its name without its ending."""
    path = PurePosixPath(name)
    return {name, path.stem, *("/".join(path.parts[start:]) for start in range(len(path.parts)))}


def by_table(labels: Mapping[str, Placed], names: list[str], where: str) -> Callable[[str], Placed]:
    """The label is what a table says of the file, by its path, its name, or its name without its ending.

    Raises FormatError where a name of the table could be several files.
    """
    by_end: dict[str, list[str]] = {}
    for name in names:
        for end in ends_of(name):
            by_end.setdefault(end, []).append(name)
    found: dict[str, Placed] = {}
    for called, placed in labels.items():
        files = by_end.get(called, [])
        if len(files) > 1:
            raise FormatError(
                f"{where}: {printable(called)} could be {printable(files[0])} or {printable(files[1])}; write the path"
            )
        if files:
            found[files[0]] = placed
    return lambda name: found.get(name, ("", None))


def _without(parts: tuple[str, ...], at: int | None) -> tuple[str, ...]:
    return parts if at is None else parts[1:] if at == 0 else parts[:-1]


def _shared(folders: set[tuple[str, ...]]) -> int:
    """How many folders all of these paths begin with."""
    count = 0
    while len({folder[: count + 1] for folder in folders}) == 1 and all(len(folder) > count for folder in folders):
        count += 1
    return count
