"""From what the user names to one source of labelled images: what is there decides how it is read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import cast

import numpy as np

from glyphline.data import arrayed, pictured, tabular
from glyphline.data.examples import SPLITS, Example, Range, Source, class_name, split_of
from glyphline.data.files import TABLE_NAMES, Kind, kind_of, kind_of_head, refuse
from glyphline.data.pictured import PictureSource
from glyphline.data.tree import Tree
from glyphline.errors import FormatError, printable

_ARRAYS = ("npz", "npy", "idx", "mat")
MOST_TABLE_BYTES = 1 << 28  # of a table of file names


@dataclass(frozen=True)
class Options:
    """label_from: what finds the class in a picture's path. label_column: which column of a table is the label."""

    label_from: re.Pattern[str] | None = None
    label_column: str | None = None


@dataclass
class Several:
    """Sources one after the other."""

    sources: list[Source]

    @property
    def kind(self) -> str:
        return ", and ".join(dict.fromkeys(source.kind for source in self.sources))

    @property
    def is_pictures(self) -> bool:
        return all(source.is_pictures for source in self.sources)

    @property
    def notes(self) -> list[str]:
        return [note for source in self.sources for note in source.notes]

    def read(self, values: Range | None) -> Iterator[Example]:
        for source in self.sources:
            yield from source.read(values)


def open_sources(arguments: Sequence[str], options: Options, scratch: Path) -> Source:
    """What the arguments name: PATH, or SPLIT=PATH, either with ,PATH of a file of labels behind.

    scratch: a folder for tables and arrays that lie in archives. Raises FormatError for what is not read here.
    """
    found: list[Source] = []
    for number, argument in enumerate(arguments):
        split, path, labels = _parsed(argument)
        for each in (path, labels):
            if each is not None and not each.exists():
                raise FormatError(f"{each}: there is no such file or folder")
        found += _open(path, labels, split, options, scratch / str(number))
    if len({source.is_pictures for source in found}) > 1:
        raise FormatError(
            f"{arguments[0]}: pictures and arrays of numbers do not go into one data set; add one of them"
        )
    return found[0] if len(found) == 1 else Several(found)


def _parsed(argument: str) -> tuple[str, Path, Path | None]:
    if Path(argument).exists():
        return "", Path(argument), None
    before, equals, after = argument.partition("=")
    split = SPLITS.get(before.lower(), "") if equals else ""
    rest = after if split else argument
    if Path(rest).exists() or "," not in rest:
        return split, Path(rest).expanduser(), None
    images, _, labels = rest.rpartition(",")
    return split, Path(images).expanduser(), Path(labels).expanduser()


def _open(path: Path, labels: Path | None, split: str, options: Options, scratch: Path) -> list[Source]:
    kind: Kind | str = "folder" if path.is_dir() else kind_of(path)
    if labels is not None:
        return [_with_labels(path, cast(Kind, kind), labels, split, options)]
    if kind in ("folder", "zip", "tar"):
        return _of_tree(Tree(path, kind), split, options, scratch)
    if kind == "picture":
        raise FormatError(f"{path}: this is one picture; name the folder of all pictures, or an archive of it")
    if kind == "other":
        raise FormatError(
            f"{path}: this is no folder, archive, table or array that is read here; docs/own-data.md says what is"
        )
    return _of_files({path.name: path}, {path.name: cast(Kind, kind)}, split, options, str(path))


def _with_labels(path: Path, kind: Kind, labels: Path, split: str, options: Options) -> Source:
    if kind == "table":
        return tabular.PixelTable(path, split, options.label_column, labels=_labels_in(labels))
    if kind in _ARRAYS:
        arrays = {f"images_{key}": (path, key, array) for key, array in arrayed.read_arrays(path, kind).items()}
        if len(arrays) == 1:
            ((file, key, images),) = arrays.values()
            where = f"{file}: {key}" if key else str(file)
            found = np.asarray(_labels_in(labels))
            shaped = arrayed.as_images(images, len(found), where)
            if len(shaped) != len(found):
                raise FormatError(f"{where}: {len(shaped):,} images, and {len(found):,} labels in {labels}")
            return arrayed.ArraySource(
                f"{kind} with labels in a file of their own", [arrayed.Part(where, split, shaped, found)]
            )
    if kind in ("folder", "zip", "tar"):
        return _pictures_by_table(Tree(path, kind), {labels.name: labels}, split)  # type: ignore[return-value]
    raise FormatError(f"{path}: labels in a file of their own go with a table of pixels, one array, or pictures")


def _labels_in(path: Path) -> list[str]:
    kind = kind_of(path)
    if kind == "table":
        return tabular.read_labels(path)
    if kind in _ARRAYS:
        arrays = list(arrayed.read_arrays(path, kind).values())
        if len(arrays) == 1:
            return [class_name(label) for label in arrayed.as_labels(arrays[0], str(path))]
    raise FormatError(f"{path}: expected a table or one array of labels")


def _of_tree(tree: Tree, split: str, options: Options, scratch: Path) -> list[Source]:
    """A folder or archive: its pictures where it has any, else the tables and arrays in it."""
    pictures: list[str] = []
    data: dict[str, Kind] = {}
    refused: tuple[bytes, str] | None = None
    for entry in tree:
        if pictured.could_be_picture(entry):
            pictures.append(entry.name)
            continue
        kind = kind_of_head(entry.head)
        if kind in ("table", "parquet", *_ARRAYS, "zip"):
            data[entry.name] = kind
        elif refused is None:
            refused = entry.head, f"{tree.path}: {printable(entry.name)}"
    if pictures:
        tables = {
            name for name, kind in data.items() if kind == "table" and PurePosixPath(name).suffix.lower() in TABLE_NAMES
        }
        if options.label_from is not None:
            meaning = "pictures with the class in their path"
            return [PictureSource(tree, meaning, pictured.by_name(options.label_from), split)]
        found = _pictures_by_table(tree, tree.copy(tables, scratch), split, pictures) if tables else None
        if found is not None:
            return [found]
        meaning, place = pictured.by_folder(pictures, str(tree.path))
        return [PictureSource(tree, f"pictures, {meaning}", place, split)]
    if data:
        places = tree.copy(set(data), scratch)
        kinds = {name: kind_of(place) for name, place in places.items()}
        return _of_files(places, kinds, split, options, str(tree.path))
    if refused is not None:
        refuse(*refused)
    raise FormatError(f"{tree.path}: there is no picture, table or array in it")


def _pictures_by_table(
    tree: Tree, tables: dict[str, Path], split: str, pictures: list[str] | None = None
) -> PictureSource | None:
    """Pictures with their classes from tables of file names; None where no table names them."""
    if pictures is None:
        pictures = [entry.name for entry in tree if pictured.could_be_picture(entry)]
    called = {end for name in pictures for end in pictured.ends_of(name)}
    labels: dict[str, tuple[str, str | None]] = {}
    for path in tables.values():
        if path.stat().st_size <= MOST_TABLE_BYTES:
            labels |= tabular.file_table(path, called) or {}
    if not any(label for _, label in labels.values()):
        return None
    place = pictured.by_table(labels, pictures, str(next(iter(tables.values()))))
    return PictureSource(tree, "pictures, and a table of their classes", place, split)


def _of_files(files: dict[str, Path], kinds: dict[str, Kind], split: str, options: Options, where: str) -> list[Source]:
    """Tables and arrays, by their names and what they are."""
    found: list[Source] = []
    arrays: dict[str, tuple[Path, str, arrayed.Array]] = {}
    parquet: dict[str, list[Path]] = {}
    kinds_of_arrays: set[str] = set()
    for name, path in files.items():
        kind = kinds[name]
        of_file = split or split_of(PurePosixPath(name).stem)
        if kind == "table":
            if tabular.is_of_pixels(path):
                found.append(tabular.PixelTable(path, of_file, options.label_column))
            elif len(files) == 1:
                raise FormatError(
                    f"{path}: this table has no pixels in it; where it names picture files, add the folder that holds "
                    "both, or name them as FOLDER,TABLE"
                )
        elif kind == "parquet":
            parquet.setdefault(of_file, []).append(path)
        elif kind in _ARRAYS:
            kinds_of_arrays.add(kind)
            several = len(files) > 1
            for key, array in arrayed.read_arrays(path, kind).items():
                arrays[f"{PurePosixPath(name).name}_{key}" if several else key] = (path, key, array)
    for of_split, paths in parquet.items():
        found.append(tabular.Parquet(sorted(paths), of_split, options.label_column))
    if arrays:
        parts = arrayed.parts_of(arrays, split)
        if parts:
            found.append(arrayed.ArraySource(f"arrays in {' and '.join(sorted(kinds_of_arrays))}", parts))
    if not found:
        raise FormatError(f"{where}: there are no images in it")
    return found
