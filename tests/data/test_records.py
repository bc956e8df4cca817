"""The records of the data sets: right ones are read, a mistake in one is refused by its key."""

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from glyphline.data.records import dataset_names, load_dataset, parse_dataset
from glyphline.errors import ParamsError
from tests.conftest import REPOSITORY, load_record, refusal

# Training and test images; the digests of training images and labels, and of test images and labels: the SHA-256 of the
# decompressed IDX files, and the MD5 of the Kuzushiji files as served.
PUBLISHED = {
    "mnist": """60000 10000
        ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db
        65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5
        0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7
        ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2""",
    "fashion-mnist": """60000 10000
        c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888
        bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9
        5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b
        0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34""",
    "kmnist": """60000 10000
        bdb82020997e1d708af4cf47b453dcf7 e144d726b3acfaa3e44228e80efcd344
        5c965bf0a639b31b8f53240b1b52f4d7 7320c461ea6c1c855c0b718fb2a4b134""",
    "k49": """232365 38547
        7ac088b20481cf51dcd01ceaab89d821 44a8e1b893f81e63ff38d73cad420f7a
        d352e201d846ce6b94f42c990966f374 4da6f7a62e67a832d5eb1bd85c5ee448""",
}
RECORD = (REPOSITORY / "datasets/k49.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted((REPOSITORY / "datasets").glob("*.yaml")), ids=lambda path: path.name)
def test_every_yaml_file_in_datasets_is_a_record(path: Path) -> None:
    parse_dataset(path.read_bytes(), str(path))


@pytest.mark.parametrize("name", PUBLISHED)
def test_digests_and_counts_are_the_published_ones(name: str) -> None:
    record = load_record(name)
    assert record.train is not None
    assert record.test is not None
    files = [record.train.images, record.train.labels, record.test.images, record.test.labels]
    train_count, test_count, *digests = PUBLISHED[name].split()
    assert (record.train.count, record.test.count) == (int(train_count), int(test_count))
    assert [file.digest.split(":")[1] for file in files] == digests
    assert {file.digest_of for file in files} == {"file" if name in {"kmnist", "k49"} else "content"}


def test_kuzushiji_49_is_hiragana_in_the_order_of_its_class_map() -> None:
    # k49_classmap.csv goes through the hiragana block in the order of its code points, small and voiced kana left out.
    *hiragana, mark = load_record("k49").class_names
    assert len(hiragana) == 48
    assert hiragana == sorted(hiragana)
    assert hiragana[-1] == "ん"
    assert mark == "ゝ"
    assert all(0x3042 <= ord(name) <= 0x3093 for name in hiragana)
    assert set(load_record("kmnist").class_names) < set(hiragana)


def test_a_name_without_a_file_is_refused_with_those_there_are(world: Path) -> None:
    said = "params.yaml: dataset: 'a' has no file datasets/a.yaml; there are: none"
    assert refusal(load_dataset, "a") == said
    (world / "datasets").mkdir()
    for name in ("b.yaml", "a.b.yaml", ".#b.yaml", "b.yaml~", "notes.txt"):
        (world / "datasets" / name).write_text(RECORD, encoding="utf-8")
    assert dataset_names() == ["a.b", "b"]
    assert load_dataset("b") == load_record("k49")
    (world / "c.yaml").write_text(RECORD, encoding="utf-8")
    for name in ("a", "", "a\0", "../c", str(world / "c"), "x" * 99):
        message = refusal(load_dataset, name)
        assert message.startswith("params.yaml: dataset: ")
        assert message.endswith("; there are: a.b, b")


TOGETHER = "the file: give mirrors, train and test together, or bundled alone, or pack alone"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"titel": "x"}, "titel: unknown key; did you mean title?"),
        ({"title": ""}, "title: string should have at least 1 character, but it is ''"),
        ({"licence": None}, "licence: input should be a valid string, but it is None"),
        ({"class_names": [*"abb"]}, "the file: two classes have the same name"),
        ({"class_names": ["a"]}, "class_names: list should have at least 2 items"),
        ({"class_names": [*"ab", 3]}, "class_names.2: input should be a valid string, but it is 3"),
        ({"mirrors": []}, TOGETHER),
        ({"test": None}, TOGETHER),
        ({"bundled": {"package": "a", "file": "b", "digest": f"sha256:{64 * '0'}", "test_every": 2}}, TOGETHER),
        ({"bundled": {"package": "a"}}, "bundled.file: this key is missing"),
        ({"train.count": 0}, "train.count: input should be greater than or equal to 1, but it is 0"),
        ({"train.images.nmae": "x"}, "train.images.nmae: unknown key; did you mean name?"),
        ({"train.images.name": "../x"}, "train.images.name: string should match pattern"),
        ({"train.images.digest": "md5:123"}, "train.images.digest: string should match pattern"),
        ({"train.images.digest_of": "all"}, "train.images.digest_of: input should be 'content' or 'file'"),
    ],
)
def test_a_mistake_in_a_record_is_refused_by_key(change: dict[str, Any], said: str) -> None:
    values = YAML(typ="safe").load(RECORD)
    for key, value in change.items():
        *above, last = key.split(".")
        section = values
        for name in above:
            section = section[name]
        section[last] = value
    with pytest.raises(ParamsError) as caught:
        parse_dataset(json.dumps(values).encode(), "changed.yaml")  # JSON is YAML
    assert any(line.startswith(f"changed.yaml: {said}") for line in str(caught.value).splitlines()), caught.value
