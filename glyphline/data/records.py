"""What each data set is: the schema of datasets/<name>.yaml, and its reader.

All hold square images of one glyph each, uint8. Grey ones are 0 (background) to 255 (ink). Published images and labels
come as IDX (gzipped or not) or as npz with the one array `arr_0`; a user's own lie in one packed file by the record.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from glyphline import paths
from glyphline.errors import ParamsError
from glyphline.schema import parse_yaml, validated

SMALLEST_SIDE, LARGEST_SIDE = 8, 128  # pixels
MOST_CLASSES = 4000

PositiveInt = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(min_length=1)]


class PublishedFile(BaseModel, extra="forbid", strict=True, frozen=True, defer_build=True):
    """One file as its publisher names it."""

    name: str = Field(pattern=r"^\w[\w.-]*$", description="what comes after a mirror's address")
    digest: str = Field(pattern="^(md5:[0-9a-f]{32}|sha256:[0-9a-f]{64})$")
    digest_of: Literal["content", "file"] = Field(
        description="content: the decompressed bytes, the same whoever compressed them. file: the bytes as served"
    )


class Split(BaseModel, extra="forbid", strict=True, frozen=True, defer_build=True):
    """The two files of one split."""

    count: PositiveInt = Field(description="how many images, and labels")
    images: PublishedFile
    labels: PublishedFile


class Bundled(BaseModel, extra="forbid", strict=True, frozen=True, defer_build=True):
    """A CSV file inside an installed package: an image a line, row by row, its class last."""

    package: str = Field(pattern=r"^[A-Za-z_]\w*(\.\w+)*$")
    file: Text = Field(description="its path inside the package")
    digest: str = Field(pattern="^sha256:[0-9a-f]{64}$", description="of all images, then all labels, as bytes")
    test_every: int = Field(ge=2, description="the images at multiples of this number, counted from 1, are test images")


class Pack(BaseModel, extra="forbid", strict=True, frozen=True, defer_build=True):
    """datasets/<name>.npz, which `glyphline data add` wrote: {train,test}_{images,labels} (glyphline.data.pack)."""

    digest: str = Field(pattern="^sha256:[0-9a-f]{64}$", description="of the file")
    train: PositiveInt = Field(description="how many training images")
    test: PositiveInt = Field(description="how many test images")


class Pictures(BaseModel, extra="forbid", strict=True, frozen=True):
    """How a picture file is made into an image of the data set."""

    how: Literal["centred", "fitted"] = Field(
        default="centred",
        description="centred: the glyph is found, cut out and centred as MNIST's makers did. fitted: the whole picture "
        "is fitted into the image, with its proportions kept",
    )
    inverted: bool | None = Field(
        default=False,
        description="fitted: light and dark change places; null: where the edges of a picture are lighter than its "
        "whole, unless it has the size of the images already",
    )
    trimmed: bool = Field(
        default=False,
        description="fitted: rows and columns at the edges that have the colour of the corners are cut off",
    )
    transposed: bool = Field(default=False, description="fitted: rows and columns change places")
    values: tuple[float, float] | None = Field(
        default=None, strict=False, description="fitted: what is black and what is white in grey of more than 8 bits"
    )


class Dataset(BaseModel, extra="forbid", strict=True, frozen=True, defer_build=True):
    """A data set: files from mirrors, bundled with a package, or packed beside its record."""

    title: Text
    licence: Text
    citation: Text
    class_names: list[Text] = Field(
        min_length=2, max_length=MOST_CLASSES, description="in the order of the labels, from 0"
    )
    side: int = Field(ge=SMALLEST_SIDE, le=LARGEST_SIDE, description="of the images, pixels")
    channels: Literal[1, 3] = Field(description="1: grey; 3: red, green, blue")
    leading_metric: Text = Field(default="accuracy", description="the one that ranks, and that figures put first")
    mirrors: list[Text] = Field(default=[], description="addresses or folders of the files, tried in this order")
    train: Split | None = None
    test: Split | None = None
    bundled: Bundled | None = None
    pack: Pack | None = None
    pictures: Pictures = Field(default=Pictures(), description="how predict prepares a picture file")
    found: dict[str, Any] = Field(default={}, description="what the import counted, inferred and left out")

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Of one image in data/raw: (side, side), or (side, side, 3) in colour."""
        return (self.side, self.side) if self.channels == 1 else (self.side, self.side, self.channels)

    @model_validator(mode="after")
    def _comes_from_somewhere(self) -> Dataset:
        if len(set(self.class_names)) < len(self.class_names):
            raise ValueError("two classes have the same name")
        published = [bool(self.mirrors), self.train is not None, self.test is not None]
        others = [self.bundled is not None, self.pack is not None]
        if sum(others) > 1 or (any(published) if any(others) else not all(published)):
            raise ValueError("give mirrors, train and test together, or bundled alone, or pack alone")
        if len(self.class_names) > 256 and not self.pack:
            raise ValueError("more than 256 classes need a pack: labels in published files are bytes")
        return self


def dataset_names(root: Path = Path()) -> list[str]:
    """The names that `dataset` in params.yaml can have, in alphabetical order. root: of the repository."""
    return sorted(path.stem for path in (root / paths.DATASETS).glob("[!.]*.yaml"))


def load_dataset(name: str, root: Path = Path()) -> Dataset:
    """Read and check the record of a data set. Raises ParamsError, one line for each thing that is wrong.

    root: of the repository. A name that leads out of datasets/ is no data set's.
    """
    path = paths.dataset(name)
    if path.parent != paths.DATASETS or not (root / path).is_file():
        known = ", ".join(dataset_names(root)) or "none"
        raise ParamsError(f"{paths.PARAMS}: dataset: {name!r} has no file {path}; there are: {known}")
    return parse_dataset((root / path).read_bytes(), source=str(path))


def parse_dataset(content: bytes, source: str) -> Dataset:
    """Check the text of a record; `source` is what an error calls the file. Raises ParamsError."""
    return validated(Dataset, parse_yaml(content, source), source)
