"""Tables: CSV of pixels, CSV of file names, and Parquet as the Hugging Face hub has it."""

from __future__ import annotations

import csv
import io
import json
import math
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glyphline.data.arrayed import flat_images
from glyphline.data.examples import Example, Range, class_name, split_of, to_levels
from glyphline.data.files import open_text
from glyphline.data.fit import as_levels
from glyphline.data.pictures import decode_picture
from glyphline.data.tree import damage_said
from glyphline.errors import FormatError, PictureError, printable, quoted

CHUNK = 5_000  # rows read at a time
NO_TABLE = "this is not a table in UTF-8 text"
LONGEST_LINE = 1 << 22  # characters: a row of 128x128 pixels in three channels has 200,000
LABEL_NAMES = (
    "label",
    "labels",
    "class",
    "target",
    "y",
    "category",
    "class_name",
    "classname",
    "digit",
    "letter",
    "character",
)
_ROW_NAMES = {"", "id", "index", "imageid", "image_id", "unnamed: 0", "row"}


@dataclass(frozen=True)
class Layout:
    """How a CSV file is laid out. label: the column of the labels, or None; skipped: columns that only number rows."""

    delimiter: str
    names: list[str] | None
    columns: int
    label: int | None
    skipped: tuple[int, ...]


@dataclass
class PixelTable:
    """A CSV file with an image a row. labels: from another file, in the same order."""

    path: Path
    split: str
    label_column: str | None = None
    labels: list[str] | None = None
    kind: str = "a table with the pixels of an image in each row"
    is_pictures: bool = False
    notes: list[str] = field(default_factory=list)

    def read(self, values: Range | None) -> Iterator[Example]:
        layout = layout_of(self.path, self.label_column, labelled=self.labels is None)
        first = 0 if layout.names is None else 1
        count = 0
        for labels, pixels in _chunks(self.path, layout):
            levels = pixels if values is None else to_levels(pixels, values)
            for number, image in enumerate(flat_images(levels, str(self.path))):
                label = labels[number] if labels is not None else None
                if self.labels is not None:
                    label = self.labels[count] if count < len(self.labels) else None
                count += 1
                yield Example(f"{self.path}: row {count + first}", None, self.split, label, image)
        if self.labels is not None and len(self.labels) != count:
            raise FormatError(f"{self.path}: {count:,} images, and {len(self.labels):,} labels")


def head_of(path: Path, most: int = 200) -> tuple[str, list[list[str]]]:
    """The delimiter of a table, and its first rows. Raises FormatError where it is none."""
    with damage_said(path, NO_TABLE):
        lines = []
        with open_text(path) as stream:
            for _ in range(most):
                line = stream.readline(LONGEST_LINE)
                if len(line) >= LONGEST_LINE:
                    raise FormatError(f"{path}: a line of it has more than {LONGEST_LINE:,} characters; is it a table?")
                if line.strip():
                    lines.append(line)
        delimiter = max(",\t; ", key="".join(lines[:1]).count)
        csv.field_size_limit(LONGEST_LINE)
        rows = list(csv.reader(lines, delimiter=delimiter, skipinitialspace=True))
    if not rows:
        raise FormatError(f"{path}: the file is empty")
    return delimiter, rows


def has_names(rows: list[list[str]]) -> bool:
    """Whether the first row names the columns: it says in words what stands below in numbers."""
    if len(rows) < 2:
        return not any(_is_number(cell) for cell in rows[0])
    if any(not _is_number(name) and _is_number(cell) for name, cell in zip(rows[0], rows[1], strict=False)):
        return True
    known = {*LABEL_NAMES, "file", "filename", "file_name", "image", "path", "name", "filepath", "split"}
    return any(cell.strip().lower() in known for cell in rows[0]) and not any(_is_number(cell) for cell in rows[0])


def is_of_pixels(path: Path) -> bool:
    """Whether a table has the pixels of an image in each row."""
    _, rows = head_of(path, most=3)
    return len(rows[0]) >= 16 and sum(_is_number(cell) for cell in rows[-1]) >= len(rows[-1]) - 2


def layout_of(path: Path, label_column: str | None, *, labelled: bool) -> Layout:
    """How a table of pixels is laid out. Raises FormatError where its label column cannot be told."""
    delimiter, rows = head_of(path)
    named = has_names(rows)
    names = [name.strip() for name in rows[0]] if named else None
    columns, body = len(rows[0]), rows[1:] if named else rows
    if not body:
        raise FormatError(f"{path}: it names its columns and has no rows")
    lower = [name.lower() for name in names] if names else []
    skipped = tuple(number for number, name in enumerate(lower) if name in _ROW_NAMES)
    label: int | None = None
    if label_column is not None:
        if label_column in ("first", "last"):
            label = 0 if label_column == "first" else columns - 1
        elif names and label_column in names:
            label = names.index(label_column)
        else:
            raise FormatError(f"{path}: it has no column {quoted(label_column)}; say first, last or a column's name")
    elif not labelled:
        label = None
    elif found := [number for name in LABEL_NAMES for number, each in enumerate(lower) if each == name]:
        label = found[0]
    elif not _is_image(columns - len(skipped)):
        label = _unnamed_label(path, body, [number for number in range(columns) if number not in skipped])
    skipped = tuple(number for number in skipped if number != label)
    pixels = columns - len(skipped) - (label is not None)
    if not _is_image(pixels):
        raise FormatError(
            f"{path}: {columns:,} columns, of which {pixels:,} are pixels: no square image, in one channel or "
            "three; say with --label-column which column is the label"
        )
    return Layout(delimiter, names, columns, label, skipped)


def read_labels(path: Path) -> list[str]:
    """Labels in a table of their own, one a row: its one column, or the column that is called like labels."""
    delimiter, rows = head_of(path, most=3)
    named = has_names(rows) or (len(rows[0]) == 1 and rows[0][0].strip().lower() in LABEL_NAMES)
    column = len(rows[0]) - 1
    if named:
        lower = [name.strip().lower() for name in rows[0]]
        column = next((lower.index(name) for name in LABEL_NAMES if name in lower), column)
    return [class_name(row[column]) for row in all_rows(path, delimiter)][int(named) :]


def all_rows(path: Path, delimiter: str) -> Iterator[list[str]]:
    """Every row of a table. Raises FormatError for rows of different lengths."""
    columns = None
    with damage_said(path, NO_TABLE), open_text(path) as stream:
        for number, row in enumerate(csv.reader(stream, delimiter=delimiter, skipinitialspace=True), 1):
            if not row:
                continue
            columns = columns or len(row)
            if len(row) != columns:
                raise FormatError(f"{path}: row {number} has {len(row):,} cells, and the first has {columns:,}")
            yield row


def file_table(path: Path, files: set[str]) -> dict[str, tuple[str, str | None]] | None:
    """Split and label by the file names of a table, or None where no column holds names of these files.

    files: what pictures can be called: their paths and names, with and without ending.
    """
    delimiter, rows = head_of(path)
    named = has_names(rows)
    body = rows[1:] if named else rows
    if len(rows[0]) > 64 or not body:
        return None
    columns = range(len(rows[0]))
    hits = [sum(len(row) > column and row[column].strip() in files for row in body) for column in columns]
    file_column = max(columns, key=lambda column: hits[column])
    if hits[file_column] < len(body) / 2:
        return None
    lower = [name.strip().lower() for name in rows[0]] if named else []
    others = [column for column in columns if column != file_column]
    split_column = next((column for column in others if named and lower[column] in ("split", "usage", "subset")), None)
    others = [column for column in others if column != split_column]
    label_column = next((lower.index(name) for name in LABEL_NAMES if name in lower), None)
    if label_column is None and len(others) == 1:
        label_column = others[0]
    if label_column is None and others:
        raise FormatError(f"{path}: which of its {len(rows[0])} columns is the label is not clear; call it label")
    of_file = split_of(path.stem)
    found: dict[str, tuple[str, str | None]] = {}
    for number, row in enumerate(all_rows(path, delimiter)):
        if number == 0 and named:
            continue
        name = row[file_column].strip()
        split = split_of(row[split_column]) if split_column is not None else of_file
        label = class_name(row[label_column]) if label_column is not None else None
        if name in found and found[name] != (split, label):
            raise FormatError(f"{path}: {printable(name)} stands in it twice, with two labels; remove one")
        found[name] = (split, label or None)
    return found


def _chunks(path: Path, layout: Layout) -> Iterator[tuple[list[str] | None, NDArray[Any]]]:
    """Labels and pixels, (rows, pixels), of CHUNK rows at a time."""
    import pandas as pd

    pixels = [column for column in range(layout.columns) if column != layout.label and column not in layout.skipped]
    first = 1 if layout.names is None else 2
    differ = "its rows are not all alike, or not UTF-8 text"
    with damage_said(path, differ), open_text(path) as stream, warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        chunks = pd.read_csv(
            stream,
            sep=layout.delimiter,
            header=None,
            skiprows=0 if layout.names is None else 1,
            dtype={} if layout.label is None else {layout.label: "str"},
            chunksize=CHUNK,
            na_filter=False,
            low_memory=False,
            skipinitialspace=True,
        )
        for chunk in chunks:
            if len(chunk.columns) != layout.columns:
                raise FormatError(
                    f"{path}: row {chunk.index[0] + first} has {len(chunk.columns):,} cells, and the first row "
                    f"{layout.columns:,}"
                )
            table = chunk[pixels]
            wrong = [column for column in pixels if table[column].dtype.kind not in "iuf"]
            if wrong:
                cells = table[wrong].map(lambda cell: not _is_level(str(cell))).to_numpy()
                row = int(cells.any(axis=1).argmax())
                column = wrong[int(cells[row].argmax())]
                raise FormatError(
                    f"{path}: row {chunk.index[row] + first}, column {column + 1}: expected a number for a pixel, "
                    f"but it is {quoted(str(table[column].iloc[row]))}"
                )
            numbers = table.to_numpy()
            finite = np.isfinite(numbers) & (numbers >= 0)
            if not finite.all():
                row, place = (int(each) for each in np.argwhere(~finite)[0])
                raise FormatError(
                    f"{path}: row {chunk.index[row] + first}, column {pixels[place] + 1}: expected a number "
                    f"from 0 up for a pixel, but it is {numbers[row, place]}"
                )
            labels = None
            if layout.label is not None:
                labels = [class_name(label) for label in chunk[layout.label]]
                if "" in labels:
                    raise FormatError(f"{path}: row {chunk.index[labels.index('')] + first}: the label is missing")
            yield labels, numbers


def _unnamed_label(path: Path, body: list[list[str]], candidates: list[int]) -> int:
    """Which column is the label where none is named so: the first or the last."""
    first, last = candidates[0], candidates[-1]
    cells = {place: [row[place] for row in body if len(row) > place] for place in (first, last)}
    for place, found in cells.items():
        if not all(_is_number(cell) for cell in found):
            return place
    # A corner pixel is background in nearly all images; labels vary more.
    entropies = {place: _entropy(found) for place, found in cells.items()}
    low, high = sorted((first, last), key=lambda place: entropies[place])
    if entropies[high] > 2 * entropies[low]:
        return high
    raise FormatError(
        f"{path}: whether the first or the last column is the label is not clear; say --label-column first, or last"
    )


def _entropy(cells: list[str]) -> float:
    """Of a column's cells, in bits."""
    shares = [count / len(cells) for count in Counter(cells).values()]
    return -sum(share * math.log2(share) for share in shares)


def _is_image(pixels: int) -> bool:
    return any(
        pixels == channels * math.isqrt(pixels // channels) ** 2 and pixels >= 4 * channels for channels in (1, 3)
    )


def _is_level(cell: str) -> bool:
    return _is_number(cell) and 0 <= float(cell) < math.inf


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


@dataclass
class Parquet:
    """Parquet files of one split, as the Hugging Face hub has them: a column of pictures, and one of labels."""

    paths: list[Path]
    split: str
    label_column: str | None = None
    kind: str = "Parquet with a column of pictures"
    is_pictures: bool = True
    notes: list[str] = field(default_factory=list)

    def read(self, values: Range | None) -> Iterator[Example]:
        import pyarrow.parquet as pq

        for path in self.paths:
            with damage_said(path, "the Parquet file is damaged or cut short"), pq.ParquetFile(path) as file:
                pictures, label, names = _columns(path, file.schema_arrow, self.label_column)
                wanted = [pictures] if label is None else [pictures, label]
                count = 0
                for batch in file.iter_batches(batch_size=256, columns=wanted):
                    labels = None if label is None else batch.column(label).to_pylist()
                    for number, cell in enumerate(batch.column(pictures).to_pylist()):
                        code = None if labels is None else labels[number]
                        if names and isinstance(code, int):
                            code = names[code] if code >= 0 else None  # -1: the hub's word for no label
                        name = None if code is None else class_name(code)
                        yield self._example(f"{path}: row {count}", cell, name, values)
                        count += 1

    def _example(self, where: str, cell: Any, label: str | None, values: Range | None) -> Example:
        key = None
        if isinstance(cell, dict):
            key, cell = cell.get("path") or None, cell.get("bytes")
        if not isinstance(cell, bytes):
            return Example(where, key, self.split, label, "there is no picture in this row")
        try:
            picture = decode_picture(io.BytesIO(cell), values)
        except PictureError as error:
            return Example(where, key, self.split, label, str(error))
        return Example(where, key, self.split, label, as_levels(picture.colours), picture.values)


def _columns(path: Path, schema: Any, label_column: str | None) -> tuple[str, str | None, list[str] | None]:
    """The column of the pictures, that of the labels, and the names of the classes, if the file has them."""
    import pyarrow as pa

    def holds_pictures(kind: Any) -> bool:
        if pa.types.is_struct(kind):
            return any(field.name == "bytes" for field in kind)
        return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    pictures = [field.name for field in schema if holds_pictures(field.type)]
    if len(pictures) != 1:
        raise FormatError(
            f"{path}: expected one column of pictures, found {quoted(pictures)} of {quoted(schema.names)}"
        )
    plain = [
        field.name
        for field in schema
        if pa.types.is_integer(field.type) or pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
    ]
    label: str | None = None
    if label_column is not None:
        if label_column not in plain:
            raise FormatError(f"{path}: it has no column {quoted(label_column)} of labels; there are: {quoted(plain)}")
        label = label_column
    else:
        label = next((name for wanted in LABEL_NAMES for name in plain if name.lower() == wanted), None)
        if label is None and len(plain) == 1:
            label = plain[0]
        if label is None and plain:
            raise FormatError(
                f"{path}: which column is the label is not clear; say --label-column with one of {quoted(plain)}"
            )
    names = None
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        found = features[label]["names"]
        if isinstance(found, list) and all(isinstance(name, str) for name in found):
            names = found
    except (KeyError, TypeError, ValueError):
        pass
    return pictures[0], label, names
