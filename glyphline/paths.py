"""Where things lie, relative to the repository's root. dvc.yaml declares the same paths."""

from pathlib import Path

PARAMS = Path("params.yaml")
DATASETS = Path("datasets")
SCHEMA = Path("data/params.schema.json")
DOWNLOADS = Path("data/downloads")

RAW = Path("data/raw")
RAW_TRAIN = RAW / "train.npz"
RAW_TEST = RAW / "test.npz"
DATASET_CARD = RAW / "dataset.json"

PREPARED = Path("data/prepared")
MODELS = Path("models")
LAYERS = Path("data/layers")
TRAIN_METRICS = Path("metrics/train")
HISTORY = Path("metrics/history")

SEARCHES = Path("metrics/search")
SPACES = Path("data/search")

TEST_METRICS = Path("metrics/test.json")
PER_CLASS = Path("metrics/per_class.csv")
PREDICTIONS = Path("metrics/predictions")
EVALUATION = Path("data/evaluation")
LABELS_TO_CHECK = EVALUATION / "labels_to_check.csv"
IMAGES_TO_CHECK = EVALUATION / "labels_to_check.npz"
NETWORK_TO_TRY = Path("data/network_to_try.json")

PLOTS = Path("plots")
REPORT = Path("report/index.html")
RUNS = Path("runs")


def dataset(name: str) -> Path:
    """The record of a data set."""
    return DATASETS / f"{name}.yaml"


def pack(name: str) -> Path:
    """The packed images of a data set that a user added."""
    return DATASETS / f"{name}.npz"


def contact_sheet(name: str) -> Path:
    """Examples of a data set that a user adds, to look at."""
    return RUNS / f"data-{name}.png"


def files_table(name: str) -> Path:
    """Which of the user's files each image comes from."""
    return RUNS / f"data-{name}.csv"


def model(variant: str) -> Path:
    """The trained network of a variant."""
    return MODELS / f"{variant}.keras"


def seed_models(variant: str) -> Path:
    """The folder of the networks that a variant's further seeds gave; empty when it has one seed."""
    return MODELS / "seeds" / variant


def layers(variant: str) -> Path:
    """The table of a variant's layers: shapes, parameters, multiply-adds."""
    return LAYERS / f"{variant}.csv"


def train_metrics(variant: str) -> Path:
    """Loss and accuracy of a variant on the train and validation splits."""
    return TRAIN_METRICS / f"{variant}.json"


def history(variant: str) -> Path:
    """Loss and accuracy of a variant after each epoch."""
    return HISTORY / f"{variant}.csv"


def predictions(variant: str) -> Path:
    """The true class of each test image, and the one that a variant took it for."""
    return PREDICTIONS / f"{variant}.csv"


def trials(search: str) -> Path:
    """What the trials of a search drew, and how they ended."""
    return SEARCHES / search / "trials.csv"


def winner(search: str) -> Path:
    """The best trial of a search."""
    return SEARCHES / search / "winner.json"


def space(search: str) -> Path:
    """The distributions that a search drew from."""
    return SPACES / search / "space.json"


def trial_seconds(search: str) -> Path:
    """How long each trial of the last run took."""
    return RUNS / f"trials@{search}.csv"


def study(digest: str) -> Path:
    """Where a search keeps its trials until it is over, and for when more are asked for: outside of all outputs."""
    return RUNS / "search" / f"{digest}.sqlite"
