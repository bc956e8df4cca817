"""Downloads, from a real server that does everything servers do wrong."""

import contextlib
import gzip
import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from glyphline.data.fetch import MIRROR_VARIABLE, fetch, mirrors_of, mismatch
from glyphline.data.records import PublishedFile
from glyphline.errors import FetchError
from tests.conftest import Capture, load_record

CONTENT = b"\x00\x00\x08\x01" + bytes(range(256)) * 40
SERVED = gzip.compress(CONTENT, 9, mtime=1)
RECOMPRESSED = gzip.compress(CONTENT, 1, mtime=2)

NAME = "train-labels.gz"
BY_CONTENT = PublishedFile(name=NAME, digest=f"sha256:{hashlib.sha256(CONTENT).hexdigest()}", digest_of="content")
AS_SERVED = PublishedFile(name=NAME, digest=f"md5:{hashlib.md5(SERVED).hexdigest()}", digest_of="file")
MOST_BYTES = 2 * len(CONTENT)

PATIENCE_SECONDS = 60.0  # of the tests with a server that says nothing; a right client has left by then

Answer = Callable[[BaseHTTPRequestHandler], None]


def serve(body: bytes, status: int = 200, announced: int | None = None, **headers: str) -> Answer:
    """An answer of this body; `announced` is the Content-Length when it is not the body's."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(len(body) if announced is None else announced))
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return answer


def hang_up(request: BaseHTTPRequestHandler) -> None:
    """Close the connection without a word."""
    request.close_connection = True


class Mirror:
    """A server on this machine. The answers are given one after the other, the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[BaseHTTPRequestHandler] = []
        self.over = threading.Event()
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.asked.append(self)
                (mirror.answers.pop(0) if len(mirror.answers) > 1 else mirror.answers[0])(self)

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/data/"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def stall(self, request: BaseHTTPRequestHandler) -> None:
        """Send no byte until the test is over; the file after all, should anyone wait for so long."""
        if not self.over.wait(PATIENCE_SECONDS):
            serve(SERVED)(request)

    def stall_half_way(self, request: BaseHTTPRequestHandler) -> None:
        """Send half of the file, and then as stall() does."""
        half = len(SERVED) // 2
        serve(SERVED[:half], announced=len(SERVED))(request)
        request.wfile.flush()
        if not self.over.wait(PATIENCE_SECONDS):
            request.wfile.write(SERVED[half:])

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    server = Mirror()
    yield server
    server.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "downloads" / "tiny"


@pytest.fixture
def nowhere() -> str:
    """An address at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/"


def refusal(file: PublishedFile, mirrors: list[str], folder: Path, timeout_seconds: float = PATIENCE_SECONDS) -> str:
    """The message of a fetch that fails, which has to leave nothing behind."""
    with pytest.raises(FetchError) as caught:
        fetch(file, mirrors, folder, MOST_BYTES, timeout_seconds=timeout_seconds, retries=0)
    assert list(folder.iterdir()) == []
    return str(caught.value)


@pytest.mark.parametrize(
    ("file", "answers", "arrives"),
    [
        pytest.param(BY_CONTENT, [serve(SERVED)], SERVED, id="digest of the content"),
        pytest.param(AS_SERVED, [serve(SERVED)], SERVED, id="digest of the file"),
        pytest.param(BY_CONTENT, [serve(RECOMPRESSED)], RECOMPRESSED, id="recompressed"),
        pytest.param(BY_CONTENT, [serve(SERVED, Content_Encoding="gzip")], CONTENT, id="unpacked on the way"),
        pytest.param(AS_SERVED, [serve(SERVED, Content_Encoding="identity")], SERVED, id="a content encoding of none"),
        pytest.param(AS_SERVED, [serve(b"busy", 500), serve(SERVED)], SERVED, id="the server falters"),
        pytest.param(AS_SERVED, [serve(SERVED[:-1]), serve(SERVED)], SERVED, id="it came damaged"),
        pytest.param(AS_SERVED, [serve(b"", 302, Location="/elsewhere.gz"), serve(SERVED)], SERVED, id="redirected"),
    ],
)
def test_the_published_file_arrives_in_one_or_two_requests(
    mirror: Mirror, folder: Path, file: PublishedFile, answers: list[Answer], arrives: bytes
) -> None:
    mirror.answers = list(answers)
    path = fetch(file, [mirror.url], folder, MOST_BYTES, retries=1)
    assert path == folder / file.name
    assert path.read_bytes() == arrives
    assert mismatch(path, file, MOST_BYTES) is None
    assert list(folder.iterdir()) == [path]
    assert mirror.asked[0].path == "/data/train-labels.gz"
    assert mirror.asked[0].headers["Accept-Encoding"] == "identity", "not to compress it on the way"
    assert len(mirror.asked) == len(answers)


@pytest.mark.parametrize(
    ("file", "answer", "words"),
    [
        (BY_CONTENT, serve(SERVED[:100], announced=len(SERVED)), "the connection broke off before the end of the file"),
        (BY_CONTENT, serve(SERVED[:100]), "damaged or cut short"),
        (AS_SERVED, serve(SERVED[:100]), "md5 of the file is"),
        (BY_CONTENT, serve(b""), f"expected {BY_CONTENT.digest.split(':')[1]}"),
        (BY_CONTENT, serve(b"\n<!DOCTYPE html><title>Sign in to the hotel</title>"), "(it is a web page)"),
        (AS_SERVED, serve(b"busy", 503), "the server answered 503 Service Unavailable"),
        (AS_SERVED, hang_up, "no connection to the server"),
        (BY_CONTENT, serve(CONTENT, Content_Encoding="gzip"), "ContentDecodingError"),
        (AS_SERVED, serve(b"", 302, Location="/data/train-labels.gz"), "TooManyRedirects"),
        (AS_SERVED, serve(RECOMPRESSED), hashlib.md5(RECOMPRESSED).hexdigest()),
        (BY_CONTENT, serve(gzip.compress(bytes(8 * 2**20))), f"the content is larger than {MOST_BYTES:,} bytes"),
    ],
)
def test_anything_else_is_refused_with_the_reason(
    mirror: Mirror, folder: Path, file: PublishedFile, answer: Answer, words: str
) -> None:
    mirror.answers = [answer]
    assert words in refusal(file, [mirror.url], folder)


@pytest.mark.parametrize("position", [0, 100, -6, -1])
@pytest.mark.parametrize("file", [BY_CONTENT, AS_SERVED])
def test_a_changed_byte_is_noticed_anywhere(mirror: Mirror, folder: Path, file: PublishedFile, position: int) -> None:
    body = bytearray(SERVED)
    body[position] ^= 0xFF
    mirror.answers = [serve(bytes(body))]
    assert f"{mirror.url}train-labels.gz: " in refusal(file, [mirror.url], folder)


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_a_mirror_that_says_no_is_asked_once(mirror: Mirror, folder: Path, status: int) -> None:
    mirror.answers = [serve(b"no", status)]
    with pytest.raises(FetchError, match=f"the server answered {status} "):
        fetch(AS_SERVED, [mirror.url], folder, MOST_BYTES, retries=2)
    assert len(mirror.asked) == 1


@pytest.mark.parametrize("how", ["stall", "stall_half_way"])
def test_a_server_that_falls_silent_is_left(mirror: Mirror, folder: Path, how: str) -> None:
    mirror.answers = [getattr(mirror, how)]
    assert "the server sent nothing for 0.2 s" in refusal(AS_SERVED, [mirror.url], folder, timeout_seconds=0.2)


def test_what_never_ends_is_left_while_it_comes(mirror: Mirror, folder: Path) -> None:
    """A server that announces no length and sends zeros until the client leaves."""
    sent = 0

    def pour(request: BaseHTTPRequestHandler) -> None:
        nonlocal sent
        request.send_response(200)
        request.end_headers()
        with contextlib.suppress(OSError):
            while sent < 64 * 2**20:
                sent += request.wfile.write(bytes(2**16))

    mirror.answers = [pour]
    assert f"the file is larger than {MOST_BYTES:,} bytes" in refusal(AS_SERVED, [mirror.url], folder)
    assert sent < 64 * 2**20


@pytest.mark.parametrize("address", ["http://", "http://[::1/", "http://127.0.0.1:99999/", "https://a..b/"])
def test_an_address_that_is_none_is_a_reason_like_any_other(folder: Path, address: str) -> None:
    assert f"  {address}train-labels.gz: " in refusal(AS_SERVED, [address], folder)


def test_the_next_mirror_is_asked_when_one_fails_and_none_after_it(
    mirror: Mirror, folder: Path, nowhere: str, capsys: Capture
) -> None:
    mirror.answers = [serve(SERVED)]
    mirrors = [nowhere, f"{folder}/no-such-folder/", mirror.url, mirror.url]
    assert fetch(AS_SERVED, mirrors, folder, MOST_BYTES, retries=0).read_bytes() == SERVED
    assert len(mirror.asked) == 1
    said = capsys.readouterr()
    assert f"train-labels.gz: not from {nowhere}: no connection to the server" in said.err
    assert f"{len(SERVED):,} bytes from {mirror.url}, verified" in said.out


def test_when_all_mirrors_fail_each_gives_its_reason_and_no_damaged_copy_is_left(
    mirror: Mirror, folder: Path, nowhere: str
) -> None:
    folder.mkdir(parents=True)
    (folder / AS_SERVED.name).write_bytes(SERVED[:50])
    mirror.answers = [serve(b"gone", 404)]
    first, *reasons, last = refusal(AS_SERVED, [mirror.url, nowhere, "/no/such/folder/"], folder).splitlines()
    assert first == "train-labels.gz: no mirror has this file as published:"
    assert reasons == [
        f"  {mirror.url}train-labels.gz: the server answered 404 Not Found",
        f"  {nowhere}train-labels.gz: no connection to the server",
        "  /no/such/folder/train-labels.gz: there is no such file",
    ]
    assert f"set {MIRROR_VARIABLE} to a folder (or URL) that holds it as tiny/train-labels.gz" in last
    assert "dataset=mnist-5k" in last


@pytest.mark.parametrize("copy", [SERVED, b"", SERVED[:50], CONTENT + b"!", RECOMPRESSED])
def test_a_copy_is_used_if_it_is_verified_and_replaced_if_damaged(mirror: Mirror, folder: Path, copy: bytes) -> None:
    folder.mkdir(parents=True)
    (folder / AS_SERVED.name).write_bytes(copy)
    mirror.answers = [serve(SERVED)]
    assert fetch(AS_SERVED, [mirror.url], folder, MOST_BYTES).read_bytes() == SERVED
    assert len(mirror.asked) == (0 if copy == SERVED else 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [(SERVED[:-1], "md5 of the file is"), (bytes(MOST_BYTES + 1), f"the file is larger than {MOST_BYTES:,} bytes")],
)
def test_a_folder_is_verified_like_a_server(tmp_path: Path, folder: Path, content: bytes, words: str) -> None:
    (tmp_path / AS_SERVED.name).write_bytes(content)
    assert words in refusal(AS_SERVED, [f"{tmp_path}/"], folder)


def test_the_user_s_own_mirror_comes_first_as_a_folder_or_an_address() -> None:
    mnist = load_record("mnist")
    assert mirrors_of("mnist", mnist, None) == mirrors_of("mnist", mnist, "") == mnist.mirrors
    assert mirrors_of("mnist", mnist, "/srv/glyphs/") == ["/srv/glyphs/mnist/", *mnist.mirrors]
    assert mirrors_of("mnist", mnist, "http://intranet/glyphs") == ["http://intranet/glyphs/mnist/", *mnist.mirrors]
    without_slash = mnist.model_copy(update={"mirrors": ["http://intranet"]})
    assert mirrors_of("mnist", without_slash, None) == ["http://intranet/"]
