"""A user's own pictures: read in every form, checked, divided, prepared and written as one data set."""

from __future__ import annotations

import hashlib
import re
import struct
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from glyphline import paths
from glyphline.cli import main
from glyphline.data.add import Imported, Request, examine
from glyphline.data.pack import read_pack
from glyphline.data.pictures import read_picture
from glyphline.data.records import Pictures, load_dataset
from glyphline.errors import GlyphlineError
from glyphline.predict.prepare import Preparation
from tests.conftest import REPOSITORY
from tests.data import made
from tests.data.made import CLASSES, IMAGES, LABELS, NAMES, class_folders, glyphs, pixel_rows, png, write_files
from tests.fuzzing import idx, npy, npz, parquet, resealed


def add(*sources: object, **options: Any) -> Imported:
    return examine(Request([str(source) for source in sources], "runes", **options))


def right(*sources: object, **options: Any) -> Imported:
    """An import without objections."""
    imported = add(*sources, **options)
    assert imported.problems == []
    return imported


def refusal(*sources: object, **options: Any) -> str:
    """The one sentence that refuses a source."""
    try:
        problems = add(*sources, **options).problems
    except GlyphlineError as error:
        problems = [str(error)]
    (problem,) = problems
    assert len(problem.splitlines()) == 1
    return problem


def pairs(imported: Imported) -> set[tuple[bytes, str]]:
    """What the pixels are called."""
    names = [imported.class_names[label] for label in imported.labels]
    return {(image.tobytes(), name) for image, name in zip(imported.images, names, strict=True)}


def sides(imported: Imported) -> set[tuple[bytes, bool]]:
    """Which pixels are in the test set."""
    return {(image.tobytes(), test) for image, test in zip(imported.images, imported.is_test.tolist(), strict=True)}


def said(imported: Imported, words: str) -> bool:
    return any(re.search(words, line) for line in imported.said)


EXPECTED = {(image.tobytes(), name) for image, name in zip(IMAGES, NAMES, strict=True)}


# What is read


@pytest.mark.parametrize("form", made.FORMS)
def test_every_form_gives_the_same_images_with_the_same_labels(form: str, world: Path) -> None:
    write_files(world, made.FORMS[form])
    imported = right(*(path.name for path in world.glob("set*")))
    assert imported.class_names == made.NUMBERS.get(form, list(CLASSES)), "2 before 10, and numbers stay"
    np.testing.assert_array_equal(imported.images, IMAGES)  # in their own order
    np.testing.assert_array_equal(imported.labels, LABELS)
    assert np.flatnonzero(imported.is_test).tolist() == made.HELD_OUT
    assert (imported.look.side, imported.look.channels, imported.look.inverted) == (28, 1, False)


def test_split_folders_and_nested_classes(world: Path) -> None:
    files = {}
    for n, image in enumerate(glyphs(40, seed=2)):
        split = ("Training", "test", "val")[n % 3 if n < 12 else 0]
        files[f"wrapped/{split}/{('Latin/a', 'Greek/β')[n % 2]}/{n}.png"] = png(image)
    imported = right(write_files(world / "set", files))
    assert imported.class_names == ["Greek/β", "Latin/a"]
    assert int(imported.is_test.sum()) == 4
    assert said(imported, "validation images join the training images")


def test_train_and_test_named_apart_and_labels_in_a_file_of_their_own(world: Path) -> None:
    train, test = glyphs(30, seed=3), glyphs(12, seed=4)
    for name, images in (("a", train), ("b", test)):
        rows = [",".join(map(str, image.ravel())) for image in images]
        (world / f"{name}.csv").write_text("\n".join(rows))
        (world / f"{name}-labels.csv").write_text("\n".join(["label", *(f"{n % 3 + 1}" for n in range(len(images)))]))
    imported = right("train=a.csv,a-labels.csv", "test=b.csv,b-labels.csv")
    np.testing.assert_array_equal(imported.images, np.concatenate([train, test]))
    assert imported.is_test.tolist() == [False] * 30 + [True] * 12
    assert imported.class_names == ["1", "2", "3"]


@pytest.mark.parametrize(
    "keys",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("trainX", "trainY", "testX", "testY"),
    ],
)
def test_the_usual_keys_of_npz_files_are_known(keys: tuple[str, ...], world: Path) -> None:
    labels = np.eye(3)[LABELS] if keys[0] == "x_train" else LABELS
    arrays = dict(zip(keys, (IMAGES[:30], labels[:30], IMAGES[30:], labels[30:]), strict=True))
    np.savez(world / "set.npz", **arrays)  # type: ignore[arg-type]
    imported = right("set.npz")
    np.testing.assert_array_equal(imported.images, IMAGES)
    assert imported.is_test.tolist() == [False] * 30 + [True] * 6


def test_the_class_in_a_flat_file_s_name(world: Path) -> None:
    files = {f"{name}_{n}.png": png(image) for n, (name, image) in enumerate(zip(NAMES, IMAGES, strict=True))}
    folder = write_files(world / "set", files)
    assert "--label-from" in refusal(folder)
    assert pairs(right(folder, label_from=r"^([^_]+)_")) == EXPECTED
    assert pairs(right(folder, label_from=r"(?P<label>\w+)_\d+")) == EXPECTED
    assert "this is no regular expression" in refusal(folder, label_from="(")


def test_values_are_scaled_by_their_range_and_never_clipped(world: Path) -> None:
    sixteenths = (IMAGES // 16).astype(np.float64)  # 0 to 15
    sixteenths[0, 0, 0] = 16
    np.savez(world / "deep.npz", images=IMAGES.astype(np.uint16) * 257, labels=LABELS)
    np.savez(world / "sixteenths.npz", images=sixteenths, labels=LABELS)
    np.savez(world / "unit.npz", images=IMAGES / 255, labels=LABELS)
    np.testing.assert_array_equal(right("deep.npz").images, IMAGES)
    np.testing.assert_array_equal(right("unit.npz").images, IMAGES)
    np.testing.assert_array_equal(right("sixteenths.npz").images, np.rint(sixteenths * 255 / 16).astype(np.uint8))
    deep = IMAGES.astype(np.uint16) * 200 + 7
    imported = right(write_files(world / "deep", {name: png(deep[n]) for n, name in enumerate(class_folders())}))
    assert imported.look.values == (7.0, 51007.0)
    np.testing.assert_array_equal(imported.images, IMAGES)


def test_side_channels_polarity_and_transposition(world: Path) -> None:
    write_files(world / "dark", {name: png(255 - IMAGES[n]) for n, name in enumerate(class_folders())})
    imported = right("dark")
    assert imported.look.inverted
    assert said(imported, "dark on light, so turned over")
    assert {image.tobytes() for image in imported.images} == {image.tobytes() for image in IMAGES}
    assert not right("dark", inverted=False).look.inverted
    wide = right("dark", side=40, channels=3)
    assert wide.images.shape[1:] == (40, 40, 3)
    turned = right("dark", transposed=True)
    np.testing.assert_array_equal(turned.images, np.swapaxes(imported.images, 1, 2))
    generator = np.random.default_rng(5)
    colours = {
        f"{CLASSES[n % 3]}/{n:03}.png": png(generator.integers(0, 256, (50, 30, 3), dtype=np.uint8)) for n in range(30)
    }
    coloured = right(write_files(world / "colours", colours))
    assert coloured.images.shape == (30, 52, 52, 3)
    assert not coloured.look.inverted
    assert "expected 8 to 128" in refusal("colours", side=129)


# What is wrong


def test_unreadable_files_are_all_listed_and_left_out_when_asked(world: Path) -> None:
    folder = write_files(world / "set", class_folders() | {"a/broken.png": b"\x89PNG\r\n\x1a\nno", "a/empty.jpg": b""})
    imported = add(folder)
    assert "2 files cannot be read" in imported.problems[0]
    assert sum("broken.png: " in line or "empty.jpg: " in line for line in imported.said) == 2
    skipped = right(folder, skip_unreadable=True)
    assert pairs(skipped) == EXPECTED
    assert len(skipped.found["unreadable"]) == 2


FEW = "classes with too few images, less than 5 images, 3 of them to train: 1, "


@pytest.mark.parametrize(
    ("file", "image", "words", "option"),
    [
        ("10/same.png", IMAGES[0], "under several labels: 1 image, the first under 2 and 10", "drop_conflicts"),
        ("rare/1.png", glyphs(1, seed=8)[0], FEW, "drop_rare"),
    ],
)
def test_one_image_under_two_labels_and_rare_classes_are_refused_or_left_out(
    file: str, image: NDArray[np.uint8], words: str, option: str, world: Path
) -> None:
    folder = write_files(world / "set", class_folders() | {file: png(image)})
    assert words in refusal(folder)
    dropped = right(folder, **{option: True})
    assert dropped.class_names == list(CLASSES)
    assert pairs(dropped) == EXPECTED - {(image.tobytes(), "2")}


BLANK = np.zeros((28, 28), np.uint8)
JUNK = {".hidden.png": b"x", "__MACOSX/a/._1.png": b"x", "a/Thumbs.db": b"x", "notes.md": b"\0\1", "b.md": b"\0"}
UNLABELLED = [png(image) for image in glyphs(5, seed=11)]
ON_THE_HUB = {  # whose word for no label is -1
    "train-00000.parquet": parquet([png(image) for image in IMAGES], LABELS.tolist(), list(CLASSES)),
    "test-00000.parquet": parquet(UNLABELLED, [-1] * 5, list(CLASSES)),
}
NO_TEST_SET = "left out: 5 test images without labels, which are no test set here"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (class_folders() | JUNK, "3 hidden files and folders: ignored"),
        (class_folders() | JUNK, r"2 files ending in \.md, no pictures: ignored"),
        (class_folders() | {"a/blank.png": png(BLANK)}, "blank, all pixels the same: 1 image"),
        (class_folders("train/") | {f"test/{n}.png": content for n, content in enumerate(UNLABELLED)}, NO_TEST_SET),
        (ON_THE_HUB, NO_TEST_SET),
    ],
)
def test_what_is_left_out_or_blank_is_counted(files: dict[str, bytes], words: str, world: Path) -> None:
    imported = right(write_files(world / "set", files))
    assert said(imported, words)
    assert pairs(imported) - {(BLANK.tobytes(), "a")} == EXPECTED


def test_training_images_that_are_test_images_too_are_dropped_and_counted(world: Path) -> None:
    files = class_folders("train/") | {f"test/{NAMES[n]}/{n}.png": png(IMAGES[n]) for n in range(9)}
    imported = right(write_files(world / "set", files))
    assert said(imported, "left out: 9 training images, pixel for pixel in the test set too")
    assert (int(imported.is_test.sum()), len(imported.images)) == (9, 36)


def test_copies_of_an_image_are_all_on_one_side(world: Path) -> None:
    files = class_folders() | {name.replace(".png", "-again.png"): content for name, content in class_folders().items()}
    imported = right(write_files(world / "set", files))
    assert said(imported, "pixel for pixel the same as another one: 36 images")
    assert len(sides(imported)) == 36
    assert imported.is_test.any()


def test_a_later_import_keeps_the_test_images(world: Path) -> None:
    files = {f"{n % 2}/{n}.png": png(image) for n, image in enumerate(glyphs(200, seed=6))}
    first = dict(list(files.items())[:100])
    before, after = right(write_files(world / "first", first)), right(write_files(world / "all", files))
    assert sides(before) < sides(after)
    assert len(sides(after)) == 200, "each on one side"


def test_a_group_is_on_one_side(world: Path) -> None:
    files = {f"{n % 2}/writer{n % 25}_{n}.png": png(image) for n, image in enumerate(glyphs(200, seed=7))}
    imported = right(write_files(world / "set", files), group_by=r"writer(\d+)_")
    writers = {image.tobytes(): n % 25 for n, image in enumerate(glyphs(200, seed=7))}
    assert len({(writers[image], test) for image, test in sides(imported)}) == 25
    assert imported.is_test.any()
    assert "it finds nothing in" in refusal(world / "set", group_by="nobody")


def test_uneven_classes_let_balanced_accuracy_lead_and_alike_names_are_told(world: Path) -> None:
    files = {f"{'A' if n < 70 else 'a'}/{n}.png": png(image) for n, image in enumerate(glyphs(80, seed=9))}
    imported = right(write_files(world / "set", files))
    assert said(imported, "balanced accuracy leads")
    assert said(imported, "names of classes that differ in case alone: A and a")


def test_split_folders_that_disagree_are_refused(world: Path) -> None:
    files = class_folders("train/") | {f"test/b{n}/{n}.png": png(image) for n, image in enumerate(glyphs(5, seed=10))}
    assert "classes with test images and no training images: 5, " in refusal(write_files(world / "set", files))


# What is written, and what comes of it


@pytest.fixture
def repository(world: Path) -> Path:
    for command in (["git", "init", "--quiet"], ["dvc", "init", "--quiet"]):
        subprocess.run(command, check=True, cwd=world)
    return world


def test_the_command_writes_a_record_and_a_pack_that_the_pipeline_reads(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_files(repository / "set", class_folders())
    assert main(["data", "add", "set", "--name", "runes", "--dry-run"]) == 0
    assert not list(repository.glob("datasets/*"))
    assert main(["data", "add", "set", "--name", "runes", "--title", "Runes", "--licence", "CC0"]) == 0
    out, err = capsys.readouterr()
    assert "datasets/runes.yaml and datasets/runes.npz are written; next: dvc exp run -S dataset=runes\n" in out
    table = pd.read_csv(repository / "runs/data-runes.csv", dtype=str)
    for _, row in table.sample(5, random_state=1).iterrows():
        image = np.asarray(Image.open(repository / "set" / row["file"]))
        assert row["pixels"] == hashlib.sha256(image.tobytes()).hexdigest()[:12]
        assert row["label"] == row["file"].split("/")[0]
    assert err == ""
    written = {".gitignore", "runes.npz", "runes.npz.dvc", "runes.yaml"}
    assert {path.name for path in (repository / "datasets").iterdir()} == written
    assert paths.contact_sheet("runes").is_file()
    staged = subprocess.check_output(["git", "diff", "--cached", "--name-only"], text=True)
    assert {"datasets/runes.yaml", "datasets/runes.npz.dvc", "datasets/.gitignore"} <= set(staged.split())
    record = load_dataset("runes")
    assert (record.title, record.licence, record.class_names) == ("Runes", "CC0", list(CLASSES))
    labelled = [pair for part in read_pack("runes", record) for pair in zip(*part, strict=True)]
    assert {(image.tobytes(), record.class_names[label]) for image, label in labelled} == EXPECTED
    paths.pack("runes").write_bytes(b"another file")
    with pytest.raises(GlyphlineError, match=r"^datasets/runes\.npz: its digest is sha256:"):
        read_pack("runes", record)
    paths.pack("runes").unlink()
    with pytest.raises(GlyphlineError, match=r"bring them with: dvc pull datasets/runes\.npz\.dvc"):
        read_pack("runes", record)


def test_a_refused_set_leaves_nothing_behind(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_files(repository / "set", class_folders() | {"10/same.png": png(IMAGES[0])})
    assert main(["data", "add", "set", "--name", "runes"]) == 1
    assert "--drop-conflicts" in capsys.readouterr().err
    assert not list(repository.glob("datasets/*"))
    assert main(["data", "add", "nowhere", "--name", "runes"]) == 1
    assert capsys.readouterr().err == "glyphline: nowhere: there is no such file or folder\n"


@pytest.mark.parametrize("name", ["mnist-5k", "1", "no", "a/b", "../x", "é", ""])
def test_names_that_cannot_be_are_refused(name: str, world: Path) -> None:
    write_files(world, {"datasets/mnist-5k.yaml": (REPOSITORY / "datasets/mnist-5k.yaml").read_bytes()})
    with pytest.raises(GlyphlineError, match="--name"):
        examine(Request(["set"], name))


def test_a_picture_of_the_set_is_prepared_as_the_import_prepared_it(world: Path) -> None:
    generator = np.random.default_rng(12)
    files = {
        f"{CLASSES[n % 3]}/{n:03}.png": png(generator.integers(0, 256, (20 + n, 70 - n), dtype=np.uint8))
        for n in range(30)
    }
    folder = write_files(world / "set", files)
    imported = right(folder, side=32, inverted=True)
    prepare = Preparation(32, 1, Pictures(how="fitted", inverted=True))
    for path, image in zip(sorted(folder.rglob("*.png"), key=lambda path: path.name), imported.images, strict=True):
        np.testing.assert_array_equal(prepare(read_picture(path)).image, image)


# Hostile files


def rows_with(place: int, cell: str) -> bytes:
    lines = pixel_rows(head=True).splitlines()
    cells = lines[5].split(",")
    cells[place : place + 1] = [cell] if cell != "nothing" else []
    lines[5] = ",".join(cells)
    return "\n".join(lines).encode()


OBJECTS = npy(np.array([{}, {}], dtype=object))
# Nine files of 128 MiB each, by what the archive says of them.
BOMB = npz({f"a/{n}.png": bytes(99_999) for n in range(9)}).replace(struct.pack("<I", 99_999), struct.pack("<I", 2**27))
LARGE = resealed(png(IMAGES[0]), lambda content: content[:16] + struct.pack(">2I", 2**16, 2**15) + content[24:])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (rows_with(7, "nan"), "row 6, column 8: expected a number for a pixel, but it is 'nan'"),
        (rows_with(7, "-3"), "row 6, column 8: expected a number from 0 up"),
        (rows_with(7, "ink"), "row 6, column 8: expected a number for a pixel, but it is 'ink'"),
        (rows_with(7, ""), "row 6, column 8: expected a number"),
        (rows_with(7, "1,2"), "its rows are not all alike"),
        (rows_with(7, "nothing"), "row 6"),
        (rows_with(0, ""), "row 6: the label is missing"),
        (pixel_rows(head=True).splitlines()[0].encode(), "no pixels in it"),
        (b"a,b\n1,2\n", "no pixels in it"),
        (b"", "no folder, archive, table or array"),
        ("".join(f"class{n}{16 * ',0'}\n" for n in range(50_000)).encode(), "there are more than 4,000 classes"),
        (b"\x89HDF\r\n\x1a\n" + bytes(600), "this is an HDF5 file"),
        (b"\x80\x04\x95" + bytes(600), "this is a Python pickle, which can run code"),
        (png(IMAGES[0]), "this is one picture"),
        (b"PK\3\4" + bytes(600), "damaged"),
        (b"\x1f\x8b" + bytes(600), "damaged"),
        (b"\0\0\x08\3" + bytes(3), "damaged"),
        (b"PAR1" + bytes(600), "damaged"),
        (b"MATLAB 5.0 MAT-file" + bytes(600), "damaged"),
        (bytes(600), "no folder, archive, table or array"),
        (npz({"images.npy": OBJECTS, "labels.npy": npy(np.arange(2))}), "can run code and is not read"),
        (npz({"../../a/1.png": b"x"}), "leads out of the archive"),
        (BOMB, "it would unpack to"),
        (idx(IMAGES, dimensions=(2**31, 28, 28)), "more than is read of one array"),
        (npz(class_folders() | {"a/large.png": LARGE}), "more than 89,478,485 pixels"),
    ],
)
def test_what_is_wrong_or_not_read_is_one_sentence(content: bytes, words: str, world: Path) -> None:
    (world / "set").write_bytes(content)
    assert words in refusal("set")


def test_links_that_lead_out_are_refused(world: Path) -> None:
    with tarfile.open(world / "set.tar", "w") as tar:
        link = tarfile.TarInfo("a/1.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    assert "is a link or a device" in refusal("set.tar")
    write_files(world / "set", class_folders())
    (world / "set/a/out.png").symlink_to("/etc/passwd")
    assert "this link leads out of set" in refusal("set")


def test_two_files_of_one_name_are_refused(world: Path) -> None:
    with zipfile.ZipFile(world / "set.zip", "w") as archive:
        archive.writestr("a/1.png", png(IMAGES[0]))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a/1.png", png(IMAGES[1]))
    assert "two files in it are called a/1.png" in refusal("set.zip")


@pytest.mark.long  # it is of 1.2 GB; the quick run has one that only says so
def test_a_bomb_is_refused_before_it_goes_off(world: Path) -> None:
    with zipfile.ZipFile(world / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(9):
            archive.writestr(f"a/{number}.png", bytes(1 << 27))
    assert "it would unpack to" in refusal("set.zip")
