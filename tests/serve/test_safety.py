"""`glyphline serve` among other people's pages, programs and pictures."""

from __future__ import annotations

import contextlib
import io
import re
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from glyphline.cli import main
from glyphline.serve import application, command
from tests.conftest import Capture
from tests.fuzzing import picture, resealed
from tests.search.conftest import wait_until
from tests.serve.conftest import Server, serving


def sent(server: Server, *parts: bytes, pause: float = 0.0) -> bytes:
    """What comes back until the server closes the connection, which is sent the parts."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        with contextlib.suppress(OSError):
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
        with contextlib.suppress(ConnectionResetError):
            return connection.makefile("rb").read()
    return b""


# Who may ask


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *(
            (name, 200)
            for name in ("localhost", "localhost:80", "LocalHost:1", "127.0.0.1:8000", "[::1]:8000", "[::1]")
        ),
        *((name, 421) for name in ("rebound.example", "rebound.example:8000", "localhost.example", "127.0.0.1.nip.io")),
        *((name, 421) for name in ("", ":8000", "[::1].example", "192.0.2.1", "::1")),
    ],
)
def test_a_name_that_was_made_to_point_here_is_refused(server: Server, host: str, status: int) -> None:
    for path in ("/", "/page.js", "/api/models", "/healthz", "/nothing"):
        answer = sent(server, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 %d " % (404 if path == "/nothing" and status == 200 else status))


def test_a_page_of_another_origin_is_refused(server: Server, pictures: list[Path]) -> None:
    content = pictures[0].read_bytes()
    with server.client() as client:
        for origin, status in {
            server.address: 200,
            "https://other.example": 403,
            "null": 403,
            "": 403,
            f"http://localhost:{server.port}": 403,
            f"http://127.0.0.1:{server.port + 1}": 403,
        }.items():
            answer = client.post("/api/predict", content=content, headers={"Origin": origin})
            assert answer.status_code == status, origin
            assert "access-control-allow-origin" not in answer.headers


def test_every_answer_says_what_a_browser_may_do_with_it(server: Server) -> None:
    with server.client() as client:
        for path in ("/", "/page.css", "/page.js", "/openapi.json", "/healthz", "/api/models", "/nothing"):
            headers = client.get(path).headers
            policy = headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
            assert "unsafe" not in policy
            assert "http" not in policy
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert "server" not in headers


def test_elsewhere_it_listens_with_a_token_alone_and_asks_for_it(
    exports: Path, pictures: list[Path], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GLYPHLINE_TOKEN", raising=False)
    for host in ("0.0.0.0", "::"):
        assert main(["serve", "--model", str(exports / "fast"), "--host", host]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"glyphline: --host {host}: ")
        assert "GLYPHLINE_TOKEN" in line
    with (
        serving(exports, "--host", "0.0.0.0", variables={"GLYPHLINE_TOKEN": "a b~"}) as server,
        server.client(Host="classifier.example") as client,
    ):
        assert client.get("/").status_code == client.get("/healthz").status_code == 200
        for given, status in {"": 401, "Bearer": 401, "Bearer a": 401, "Basic a b~": 401, "bearer a b~": 200}.items():
            answer = client.get("/api/models", headers={"Authorization": given})
            assert answer.status_code == status, given
            assert (answer.headers.get("WWW-Authenticate") == "Bearer") == (status == 401)
        assert client.post("/api/predict", content=pictures[1].read_bytes()).status_code == 401
        other = {"Authorization": "Bearer a b~", "Origin": "http://other.example"}
        assert client.get("/api/models", headers=other).status_code == 403


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "nowhere"], "nowhere: there is no such folder"),
        (
            ["--model", "exports/fast", "exports/../exports/fast"],
            "two of these folders have the same name (fast, fast)",
        ),
        (["--host", "no.such.name.invalid"], "--host no.such.name.invalid: there is no such address"),
        (["--port", "70000"], "70000: cannot listen there (a port is 0 to 65535)"),
        (["--token", "é"], "the token: expected printable ASCII characters"),
        (["--port", "TAKEN"], "cannot listen there (Address already in use)"),
    ],
)
def test_what_it_cannot_start_with_is_one_sentence(
    exports: Path, server: Server, capsys: Capture, arguments: list[str], said: str
) -> None:
    with contextlib.chdir(exports.parent):
        assert main(["serve", *(str(server.port) if word == "TAKEN" else word for word in arguments)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_without_an_exported_network_it_says_how_to_make_one(world: Path, capsys: Capture) -> None:
    assert main(["serve"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "glyphline: exports: there is no exported network to serve; make one with: glyphline export models/NAME.keras"
    ]


# Pictures that are not what they seem


def bomb() -> bytes:
    """A PNG of a few bytes that says it has ten thousand million pixels."""
    return resealed(picture("PNG"), lambda png: png[:16] + struct.pack(">II", 100_000, 100_000) + png[24:])


def large() -> bytes:
    """A PNG of few bytes and 64 million pixels, which `glyphline predict` would read."""
    file = io.BytesIO()
    Image.new("1", (8000, 8000)).save(file, "PNG")
    return file.getvalue()


def endless() -> bytes:
    """A JPEG of 15 MiB that says the same 200,000 times: a decoder is at it for hours."""
    file = io.BytesIO()
    Image.new("L", (7000, 7000), 128).save(file, "JPEG", progressive=True)
    content = file.getvalue()
    scan = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + scan * ((15 << 20) // len(scan)) + content[-2:]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (bomb, "more than 50,000,000 pixels"),
        (large, "more than 50,000,000 pixels"),
        pytest.param(endless, "takes too much time or memory", marks=pytest.mark.long),
    ],
)
def test_a_picture_that_would_take_too_much_is_refused(
    server: Server, pictures: list[Path], make: Callable[[], bytes], said: str
) -> None:
    with server.client() as client:
        answer = client.post("/api/predict", content=make())
        assert answer.status_code == 422
        assert said in answer.json()["detail"]
        assert client.post("/api/predict", content=pictures[6].read_bytes()).json()["pictures"][0]["class"] == "6"


def test_nothing_is_stored_and_no_path_is_told(exports: Path, pictures: list[Path], tmp_path: Path) -> None:
    before = sorted(exports.parent.rglob("*"))
    Image.effect_noise((2000, 2000), 90).save(tmp_path / "noise.png")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with serving(exports, variables={"TMPDIR": str(temporary)}) as server, server.client() as client:
        files = [("p", (path.name, path.read_bytes())) for path in (tmp_path / "noise.png", *pictures)]
        answers = [
            client.post("/api/compare", files=files),
            client.post("/api/predict", content=b"x"),
            client.get("/api/models"),
            client.get("/../../etc/passwd"),
            client.get(f"/{exports}"),
        ]
        for answer in answers:
            assert str(exports.parent) not in answer.text.replace(str(answer.request.url), "")
        assert answers[0].status_code == 200
        assert sorted(temporary.rglob("*")) == []
    assert sorted(exports.parent.rglob("*")) == before


# Clients that are slow or broken


POST = b"POST /api/predict HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.long
def test_a_client_that_keeps_it_waiting_is_cut_off(exports: Path) -> None:
    """Each of these would be kept for ever without the limits, and the test would end by its own time-out."""
    limits = "command.REQUEST_SECONDS = application.BODY_SECONDS = 0.5"
    with serving(exports, limits=limits) as server:
        assert sent(server) == b""
        assert sent(server, POST) == b""
        assert sent(server, POST, *(b"X-%d: x\r\n" % n for n in range(20)), pause=0.1) == b""
        late = sent(server, POST + b"Content-Length: 9\r\n\r\n", b"1")
        assert late.startswith(b"HTTP/1.1 408 ")
        assert b"application/problem+json" in late
        drip = sent(server, POST + b"Transfer-Encoding: chunked\r\n\r\n", *[b"1\r\nx\r\n"] * 20, pause=0.1)
        assert drip.startswith(b"HTTP/1.1 408 ")
        busy = sent(server, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET ")
        assert busy.startswith(b"HTTP/1.1 200 ")


def test_a_connection_too_many_is_closed_at_once(exports: Path) -> None:
    with serving(exports, limits="command.MOST_CONNECTIONS = 3") as server:
        held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
        time.sleep(0.2)
        assert sent(server, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") == b""
        for each in held:
            each.close()
        request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        wait_until(lambda: sent(server, request) != b"", "the connections that were closed no longer count")


@pytest.mark.parametrize(
    "content",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\nConnection: close\r\n\r\n",
        b"G" * 100_000,
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: other.example\r\n\r\n",
        POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nxxxxxx",
        POST + b"Content-Length: %s\r\n\r\n" % (b"9" * 5000),
        POST + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
        POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    ],
    ids=range(8),
)
def test_what_is_no_http_gets_a_problem_or_is_cut_off(server: Server, content: bytes) -> None:
    answer = sent(server, content, b"")
    assert re.match(rb"HTTP/1\.1 (400|421|422|431) |$", answer), answer[:200]
    assert not answer or b"application/problem+json" in answer


def test_clients_that_go_away_leave_the_server_as_it_was(server: Server, pictures: list[Path]) -> None:
    content = pictures[7].read_bytes()
    whole = POST + b"Content-Length: %d\r\n\r\n" % len(content) + content
    for end in (1, 40, len(whole) // 2, len(whole) - 1, len(whole)):
        for reset in (False, True):
            connection = socket.create_connection(("127.0.0.1", server.port))
            connection.sendall(whole[:end])
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
    with server.client() as client:
        answer = client.post("/api/predict", content=content)
        assert answer.json()["pictures"][0]["class"] == "7"


def test_the_limits_leave_room_for_what_they_are_for() -> None:
    assert (
        application.MOST_REQUESTS * application.MOST_PICTURES >= application.MOST_WAITING >= application.MOST_REQUESTS
    )
    assert command.SHUTDOWN_SECONDS >= application.BODY_SECONDS + application.ANSWER_SECONDS
