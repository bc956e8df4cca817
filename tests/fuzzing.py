"""Wrong files by the million, each made of a right one, and what has to come of them: a right result or one sentence.

Two engines share the checks: a plain one for pytest, whose cases follow from a seed, and Atheris, which is guided by
the code that a case reaches (`make fuzz`).
"""

from __future__ import annotations

import argparse
import gc
import gzip
import io
import json
import logging
import multiprocessing
import os
import resource
import struct
import subprocess
import sys
import tarfile
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import FunctionType
from typing import Any, Literal
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from ruamel.yaml.error import ReusedAnchorWarning

from glyphline.config import Params, load_params
from glyphline.data import mat as mat_reader
from glyphline.data.add import Request, examine
from glyphline.data.formats import read_images, read_labels
from glyphline.data.pictures import WORKING_SIDE, read_picture
from glyphline.errors import FormatError, GlyphlineError, ParamsError, PictureError
from glyphline.predict.prepare import SIDE, prepare

IMAGES = (np.arange(2 * SIDE * SIDE) % 251 // 64).astype(np.uint8).reshape(2, SIDE, SIDE)  # compresses well
LABELS = np.array([3, 0, 9, 3, 1], np.uint8)
CLASSES = 10
PICTURE_KINDS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
MOST_PIXELS = 2_500_000  # of a fuzzed picture, so that a case costs no second
PREPARED = 16  # of so many accepted pictures one is prepared for the network too, which takes longer than reading it
STARTED = 50  # of so many MATLAB files one is read by a new process, whose start takes a tenth of a second
MOST_MEMORY = 2**31  # bytes that the plain engine's process may reserve, with its libraries and their threads' stacks
LONGEST = 8192  # bytes of a case; the right files are shorter
INTERESTING = (0, 1, 2, 7, 28, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0xFFFF, 0x10000, 2**31 - 1, 2**31, 2**32 - 1)
YAML_WORDS = (
    *"[]{}|>&*!#%@`?:-'\"\t\n\0\u2028\x85_~=",
    *("  ", ": ", "- ", "<<: ", "---\n", "%YAML 1.1\n", "&a ", "*a ", "0x", "1:60", "2026-13-01"),
    *("!x ", "!!int ", "!!float ", "!!bool ", "!!timestamp ", "!!binary ", "!!set ", "!!omap "),
    *('"\\xZZ"', '"\\U99999999"', "\u00e9", "\U0001f600"),
)
PARAMS = b"""\
seed: 1
dataset: mnist-5k
limit:
preprocess:
  validation_fraction: 0.1
variants:
  small: &a {filters: [2, 3], pooling: [1], learning_rate: 1e-3, epochs: 1}
  mlp:
    dense: [8]
    augmentation: {shift: 1.5}
    epochs: 1
searches:
  found:
    trials: 2
    fixed: {epochs: 1}
    space:
      dense: {count: {low: 1, high: 2}, each: {choices: [1]}}
      augmentation: {shift: {low: 0, high: 2}}
gate:
  accuracy_floor: 0.9
"""


def idx(values: NDArray[np.uint8], magic: int | None = None, dimensions: tuple[int, ...] | None = None) -> bytes:
    """An IDX file; magic and dimensions are the right ones unless given."""
    sides = values.shape if dimensions is None else dimensions
    return struct.pack(f">{1 + len(sides)}I", magic or 0x800 + values.ndim, *sides) + values.tobytes()


def npy(values: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def npz(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def tar(members: dict[str, bytes], mode: Literal["w", "w:gz"]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def picture(kind: str, mode: str = "L", width: int = 24) -> bytes:
    """A right picture of a kind, 24 pixels high."""
    stream = io.BytesIO()
    levels = np.tile(np.arange(24, dtype=np.uint8) * 10, (24, 1))
    levels[6:18, 10:13] = 255
    Image.fromarray(levels).resize((width, 24), Image.Resampling.NEAREST).convert(mode).save(stream, kind)
    return stream.getvalue()


def check_refusal(path: Path, error: GlyphlineError) -> None:
    """A refusal begins with the file's name and is one line, no longer than a few of a terminal's."""
    assert str(error).startswith(f"{path}: ")
    assert len(str(error).splitlines()) == 1
    assert len(str(error)) < len(str(path)) + 400


def check_data(path: Path, content: bytes) -> bool:
    """An IDX or npz file is refused, or read as another reader reads it."""
    accepted = False
    for shape in (IMAGES.shape, LABELS.shape):
        try:
            values = read_images(path, shape) if len(shape) == 3 else read_labels(path, shape[0], CLASSES)
        except FormatError as error:
            check_refusal(path, error)
            continue
        accepted = True
        assert values.shape == shape
        assert values.dtype == np.uint8
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive, archive.open("arr_0.npy") as member, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected = np.asarray(np.lib.format.read_array(member, allow_pickle=False))
        else:
            plain = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
            expected = np.frombuffer(plain[4 + 4 * plain[3] :], np.uint8)
        assert np.array_equal(values, expected.reshape(shape))
        assert len(shape) == 3 or values.max() < CLASSES
    return accepted


def check_picture(path: Path, content: bytes) -> bool:
    """A picture is refused in one line, or its colours are colours, and either no glyph is in it or an image."""
    try:
        seen = read_picture(path)
        height, width, channels = seen.colours.shape
        assert seen.colours.dtype == np.float32
        assert 1 <= min(height, width) <= max(height, width) <= WORKING_SIDE
        assert channels in (1, 3)
        assert 0 <= seen.colours.min() <= seen.colours.max() <= 1
        assert seen.frames >= 1
        if zlib.crc32(content) % PREPARED:
            return True
        image = prepare(seen.colours).image
    except PictureError as error:
        refusal = str(error)
    else:
        assert image.shape == (SIDE, SIDE)
        assert image.dtype == np.uint8
        return True
    assert len(refusal.splitlines()) == 1
    return False


TINY = (np.arange(20 * 16) * 7 % 251).astype(np.uint8).reshape(20, 4, 4)
TINY_LABELS = np.arange(len(TINY)) % 2


def sources() -> dict[str, bytes]:
    """Small data sets of two classes of 4x4 pixels."""
    images, labels = TINY, TINY_LABELS
    rows = [",".join(map(str, [label, *image.ravel()])) for label, image in zip(labels, images, strict=True)]
    tiny = {f"set/{label}/{n}.pgm": b"P5 4 4 255\n" + images[n].tobytes() for n, label in enumerate(labels)}
    return {
        "table": ("label," + ",".join(f"p{n}" for n in range(16)) + "\n" + "\n".join(rows)).encode(),
        "plain table": "\n".join(rows).encode(),
        "arrays": npz({"images.npy": npy(images), "labels.npy": npy(labels)}),
        "zip": npz(tiny),
        "tar": tar(tiny, "w:gz"),
        "parquet": parquet(list(tiny.values()), labels.tolist(), ["a", "b"]),
    }


def parquet(pictures: list[bytes], labels: list[int], names: list[str]) -> bytes:
    """Pictures and the numbers of their classes as the Hugging Face hub has them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    schema = pa.schema(
        [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])), ("label", pa.int64())],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    cells = [{"bytes": picture, "path": None} for picture in pictures]
    stream = io.BytesIO()
    pq.write_table(pa.table({"image": cells, "label": labels}, schema), stream)
    return stream.getvalue()


def mat(images: NDArray[Any], labels: NDArray[Any], packed: bool = False) -> bytes:
    from scipy.io import savemat

    stream = io.BytesIO()
    savemat(stream, {"X": images, "y": labels}, do_compression=packed)
    return stream.getvalue()


def check_source(path: Path, content: bytes) -> bool:
    """A data set is refused, each objection in a line, or it becomes images and labels that belong together."""
    try:
        imported = examine(Request([str(path)], "fuzzed", skip_unreadable=True))
    except GlyphlineError as error:
        refusals = [str(error)]
    else:
        refusals = imported.problems
        side, count = imported.look.side, len(imported.images)
        assert imported.images.dtype == np.uint8
        assert imported.images.shape[:3] == (count, side, side)
        assert imported.labels.shape == imported.is_test.shape == (count,)
        assert refusals or 0 <= imported.labels.min() <= imported.labels.max() < len(imported.class_names)
    for refusal in refusals:
        assert len(refusal.splitlines()) == 1, refusal
        assert len(refusal) < 2 * len(str(path)) + 500, refusal
    return not refusals


def check_mat(path: Path, content: bytes) -> bool:
    """As check_source. A few files are read by a process of their own, as they should be, the others by a fork."""
    run = subprocess.run if zlib.crc32(content) % STARTED == 0 else _forked
    with patch.object(subprocess, "run", run):
        return check_source(path, content)


def _forked(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
    """What `python -m glyphline.data.mat` does, without the start of Python and SciPy."""

    def read() -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        mat_reader.main(*command[3:])

    process = multiprocessing.get_context("fork").Process(target=read)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads, which NumPy and Arrow have and the reader does not need
        process.start()
    process.join()
    assert process.exitcode is not None
    return subprocess.CompletedProcess(command, process.exitcode)


def check_params(path: Path, content: bytes) -> bool:
    """params.yaml is refused, each line about it, or is one."""
    try:
        params = load_params(path)
    except ParamsError as error:
        lines = str(error).splitlines()
        assert lines
        assert all(line.startswith(f"{path}: ") for line in lines), lines
        return False
    assert isinstance(params, Params)
    return True


@dataclass(frozen=True)
class Target:
    """What is fuzzed: right files, the name that the reader is given, what has to hold, and the modules it is about.

    words: what means something in these files, for the plain engine to put anywhere.
    """

    seeds: dict[str, bytes]
    name: str
    check: Callable[[Path, bytes], bool]
    modules: tuple[str, ...]
    words: tuple[str, ...] = ()


TARGETS = {
    "idx": Target(
        {
            "images": idx(IMAGES),
            "labels": idx(LABELS),
            "images.gz": gzip.compress(idx(IMAGES), mtime=0),
            "labels.gz": gzip.compress(idx(LABELS), mtime=0),
        },
        "data.idx",
        check_data,
        ("glyphline", "gzip"),
    ),
    "npz": Target(
        {
            f"{name}-{compression}": npz({"arr_0.npy": npy(values)}, compression)
            for name, values in (("images", IMAGES), ("labels", LABELS))
            for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        },
        "data.npz",
        check_data,
        ("glyphline", "zipfile", "numpy.lib"),
    ),
    "picture": Target(
        {kind: picture(kind) for kind in PICTURE_KINDS}
        | {f"{kind}-RGB": picture(kind, "RGB") for kind in ("PNG", "JPEG", "TIFF", "WEBP")}
        | {f"{kind}-RGBA": picture(kind, "RGBA") for kind in ("PNG", "TIFF", "WEBP")}
        | {f"{kind}-wide": picture(kind, width=5 * WORKING_SIDE) for kind in ("PNG", "WEBP")},  # is reduced
        "picture",
        check_picture,
        ("glyphline", "PIL"),
    ),
    "source": Target(sources(), "source", check_source, ("glyphline", "zipfile", "tarfile", "numpy.lib")),
    "mat": Target(
        {"plain": mat(TINY, TINY_LABELS), "packed": mat(TINY, TINY_LABELS, packed=True)},
        "source",
        check_mat,
        ("glyphline",),
    ),
    "params": Target({"params": PARAMS}, "params.yaml", check_params, ("glyphline", "ruamel"), YAML_WORDS),
}


def mutated(content: bytes, random: Random, words: tuple[str, ...]) -> bytes:
    """Wrong bytes made of right ones; half of the time what is packed is unpacked first, and sealed again after."""
    if random.random() < 0.5:
        return resealed(content, lambda inner: _edited(inner, random, words))
    return _edited(content, random, words)


def resealed(content: bytes, edit: Callable[[bytes], bytes]) -> bytes:
    """The file with its inside edited and compression and checksums right again: what checksums would hide is tested.

    Only the outside where there is no inside to be found.
    """
    with suppress(Exception):  # damaged before: there is nothing to unpack
        if content.startswith(b"\x1f\x8b"):
            return gzip.compress(edit(zlib.decompressobj(31).decompress(content, LONGEST)), 1, mtime=0)
        if content.startswith(b"PK"):
            with zipfile.ZipFile(io.BytesIO(content)) as archive, archive.open(archive.infolist()[0]) as member:
                inner = member.read(LONGEST)
                entry = archive.infolist()[0]
            return npz({entry.filename: edit(inner)}, entry.compress_type)
        if content.startswith(b"\x89PNG"):
            png, position = bytearray(edit(content)), 8
            while position + 12 <= len(png):
                (size,) = struct.unpack_from(">I", png, position)
                end = position + 8 + size
                if end + 4 > len(png):
                    break
                struct.pack_into(">I", png, end, zlib.crc32(png[position + 4 : end]))
                position = end + 4
            return bytes(png)
    return edit(content)


def _edited(content: bytes, random: Random, words: tuple[str, ...]) -> bytes:
    data = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 4, 8))):
        # Headers are at the start, and in a zip at the end: that is where most changes matter.
        reach = random.choice((32, 200, max(len(data), 1)))
        at = min(random.randrange(reach), len(data))
        at = len(data) - at if random.random() < 0.2 else at
        kind = random.randrange(8 if words else 7)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << random.randrange(8)
        elif kind == 1:
            data[at : at + 1] = random.randbytes(1)
        elif kind == 2:
            width = random.choice((1, 2, 4))
            number = random.choice(INTERESTING) % 256**width
            data[at : at + width] = number.to_bytes(width, random.choice(("little", "big")))
        elif kind == 3:
            del data[at : at + random.choice((1, 2, 4, 64))]
        elif kind == 4:
            data[at:at] = random.randbytes(random.choice((1, 2, 4)))
        elif kind == 5:
            start = random.randrange(len(data) + 1)
            data[at:at] = data[start : start + random.randrange(64)]
        elif kind == 7:
            data[at : at + random.randrange(5)] = random.choice(words).encode()
        elif random.random() < 0.2:
            del data[at:]
    return bytes(data[:LONGEST])


@contextmanager
def checking(target: Target, folder: Path) -> Iterator[Callable[[bytes], bool]]:
    """A function that says whether a content is accepted, and raises what the check raises, the content in a note.

    It writes to one file that stays open, because to make a new one would take most of the time. What a library warns
    of or logs fails the check too: it would appear on the standard error beside our own sentence. It is kept until the
    check is over, because a reader may well take an exception for damage of the file.
    """
    path, heard = folder / target.name, list[str]()
    listener = logging.Handler()
    listener.emit = lambda record: heard.append(f"{record.name} logs: {record.getMessage()}")  # type: ignore[method-assign]

    def check(content: bytes) -> bool:
        file.seek(0)
        file.write(content)
        file.truncate()
        try:
            accepted = target.check(path, content)
            assert not heard, heard
        except Exception as error:
            error.add_note(f"the content was {content!r}")
            raise
        return accepted

    with (
        path.open("wb", buffering=0) as file,
        warnings.catch_warnings(),
        patch.object(logging, "lastResort", listener),
        patch.object(logging.root, "handlers", []),  # as in a process that has set up no logging
        patch.object(Image, "MAX_IMAGE_PIXELS", MOST_PIXELS),
    ):
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", ReusedAnchorWarning)  # about a file that is read all the same
        warnings.showwarning = lambda message, *_, **__: heard.append(f"{message}")
        yield check


def run(name: str, folder: Path, cases: int, seed: int = 1) -> int:
    """Check so many cases of the plain engine, in an order that the seed gives; returns how many were accepted."""
    target, random = TARGETS[name], Random(seed)
    seeds = list(target.seeds.values())
    with checking(target, folder) as check:
        return sum(check(mutated(seeds[case % len(seeds)], random, target.words)) for case in range(cases))


def guided(name: str, folder: Path, cases: int) -> None:
    """Let Atheris make so many cases, guided by the code that each one reaches. Leaves the process: 0 if all held."""
    import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore]

    target, corpus = TARGETS[name], folder / "corpus"
    corpus.mkdir()
    for seed, content in target.seeds.items():
        (corpus / seed).write_bytes(content)

    def mutate(content: bytes, longest: int, seed: int) -> bytes:
        def edit(inner: bytes) -> bytes:
            return bytes(atheris.Mutate(inner, longest))

        return (resealed(content, edit) if Random(seed).random() < 0.5 else edit(content))[:longest]

    Image.init()  # Pillow's plugins are modules too
    for function in [thing for thing in gc.get_objects() if isinstance(thing, FunctionType)]:
        if str(function.__module__).startswith(target.modules):
            atheris.instrument_func(function)
    limits = [f"-max_len={LONGEST}", "-timeout=60", "-rss_limit_mb=2048", f"-artifact_prefix={folder}/"]
    options = [f"-runs={cases}", "-print_final_stats=1", *limits, str(corpus)]
    with checking(target, folder) as check:
        atheris.Setup([sys.argv[0], *options], lambda content: check(content) and None, custom_mutator=mutate)
        atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzzing", description=__doc__.partition("\n")[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1, help="of the plain engine")
    parser.add_argument("--guided", action="store_true", help="by Atheris, which this Python has to have")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.guided:
            guided(arguments.target, Path(folder), arguments.cases)
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
        accepted = run(arguments.target, Path(folder), arguments.cases, arguments.seed)
        print(f"{arguments.target}: {arguments.cases:,} cases of which {accepted:,} were right")


if __name__ == "__main__":
    main()
