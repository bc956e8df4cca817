"""Wrong requests by the thousand, made of right ones: each is answered or cut off, and none with 500."""

from __future__ import annotations

import re
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from tests.fuzzing import PICTURE_KINDS, mutated, picture
from tests.serve.conftest import Server, serving

CLIENTS = 32
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LIMITS = "command.REQUEST_SECONDS = application.BODY_SECONDS = 0.2"  # of those that do not end
WORDS = (
    *("\r\n", "\n", "\0", ":", " ", ";", '"', "%00", "%2e%2e/", "?model=", "&model=mlp", "--x", "--x--", "é", "\u2028"),
    *("Transfer-Encoding: chunked\r\n", "Content-Length: 0\r\n", "Content-Length: 99999999999\r\n"),
    *("Expect: 100-continue\r\n", "Host: localhost\r\n", "Origin: null\r\n", "Connection: close\r\n"),
    *("Upgrade: websocket\r\n", "charset=utf-7"),
    *("GET ", "HEAD ", "PUT ", "OPTIONS ", "POST /api/compare ", "HTTP/1.0"),
    *("multipart/form-data; boundary=x", "filename*=UTF-8''"),
)


def requests() -> list[bytes]:
    """Right requests of every kind."""
    pictures = [picture(kind) for kind in PICTURE_KINDS] + [picture("PNG", "RGBA"), picture("WEBP", "RGB")]
    form = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="p"; filename="%d.png"\r\n\r\n%s\r\n' % (number, content)
        for number, content in enumerate(pictures[:3])
    )
    half = len(pictures[0]) // 2
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (pictures[0][:half], pictures[0][half:], b""))
    return [
        *(request(b"POST /api/predict", content) for content in pictures),
        request(b"POST /api/compare?model=fast&model=mlp", pictures[0], b"Origin: http://localhost\r\n"),
        request(b"POST /api/predict", form + b"--x--\r\n", b"Content-Type: multipart/form-data; boundary=x\r\n"),
        b"POST /api/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks,
        *(request(b"GET " + path) for path in (b"/", b"/page.js", b"/api/models", b"/healthz", b"/openapi.json")),
    ]


def request(line: bytes, body: bytes = b"", headers: bytes = b"") -> bytes:
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    return b"%s HTTP/1.1\r\nHost: localhost\r\n%s%s\r\n%s" % (line, headers, length, body)


def wrong(right: bytes, random: Random) -> bytes:
    """Head and body are made wrong apart from each other, so that more than the first line is looked at."""
    head, end, body = right.partition(b"\r\n\r\n")
    if random.random() < 0.5:
        head = mutated(head, random, WORDS)
    if body and random.random() < 0.7:
        body = mutated(body, random, ())
        if random.random() < 0.7:
            head = re.sub(rb"Content-Length: \d+", b"Content-Length: %d" % len(body), head)
    return head + end + body


def status(server: Server, content: bytes) -> int | None:
    """Of the first answer; None where the connection is closed without one."""
    answer, whole = b"", False
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection, suppress(ConnectionError):
        connection.sendall(content)
        while not whole and (part := connection.recv(1 << 16)):
            answer += part
            head, end, body = answer.removeprefix(CONTINUE).partition(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            whole = bool(end and length and len(body) >= int(length[1]))
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer.removeprefix(CONTINUE))
    assert found or not answer, (content, answer)
    return int(found[1]) if found else None


@pytest.mark.parametrize("cases", [1_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_no_request_is_answered_with_500_and_none_ends_the_server(exports: Path, cases: int) -> None:
    right, random = requests(), Random(cases)
    contents = (wrong(right[case % len(right)], random) for case in range(cases))
    with serving(exports, limits=LIMITS) as server, ThreadPoolExecutor(CLIENTS) as clients:  # it says nothing meanwhile
        seen = Counter(clients.map(lambda content: status(server, content), contents))
        assert seen.total() == cases
        assert seen.keys() >= {None, 200, 400, 422}
        assert 500 not in seen, seen
        assert status(server, requests()[0]) == 200


def test_every_right_request_is_answered(server: Server) -> None:
    for content in requests():
        assert status(server, content) == 200, content
