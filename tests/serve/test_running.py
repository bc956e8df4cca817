"""`glyphline serve` while it runs: too much to do, told to stop, its networks replaced, its processes killed."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import time
from pathlib import Path

import httpx2
import psutil
import pytest

from glyphline.serve.application import MOST_REQUESTS
from tests.search.conftest import wait_until
from tests.serve.conftest import Server, serving

MANY = 5 * MOST_REQUESTS  # clients at once


def workers(server: Server) -> list[psutil.Process]:
    """The processes that read pictures."""
    children = psutil.Process(server.process.pid).children()
    found = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    assert found
    return found


def ended(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def asked_at_once(server: Server, content: bytes, clients: int) -> list[httpx2.Response]:
    async def ask() -> list[httpx2.Response]:
        limits = httpx2.Limits(max_connections=clients)
        async with httpx2.AsyncClient(base_url=server.address, limits=limits, timeout=60) as client:
            return await asyncio.gather(*(client.post("/api/predict", content=content) for _ in range(clients)))

    return asyncio.run(ask())


@pytest.mark.long
def test_who_comes_when_it_is_full_hears_so_and_it_recovers(exports: Path, pictures: list[Path]) -> None:
    content = pictures[3].read_bytes()
    with serving(exports) as server:
        answers = asked_at_once(server, content, MANY)
        refused = [answer for answer in answers if answer.status_code != 200]
        assert len(refused) < MANY
        for answer in refused:
            assert answer.status_code == 503
            assert answer.headers["Retry-After"] == "1"
            assert answer.json()["detail"] == "the server is busy; try again in a second"
        for answer in asked_at_once(server, content, MOST_REQUESTS // 2):
            assert answer.json()["pictures"][0]["class"] == "3"


def test_bodies_together_are_limited_too(exports: Path) -> None:
    head = b"POST /api/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
    with serving(exports, limits="application.MOST_BYTES = 1_500_000") as server:
        holding = socket.create_connection(("127.0.0.1", server.port))
        holding.sendall(head + bytes(999_999))
        with server.client() as client:
            wait_until(lambda: client.post("/api/predict", content=bytes(1_000_000)).status_code == 503, "it is full")
            assert client.post("/api/predict", content=bytes(100)).status_code == 422
            holding.close()
            wait_until(lambda: client.post("/api/predict", content=bytes(1_000_000)).status_code == 422, "it is not")


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_what_is_under_way(exports: Path, pictures: list[Path], sign: signal.Signals) -> None:
    content = pictures[5].read_bytes()
    with serving(exports) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            head = f"POST /api/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n\r\n"
            connection.sendall(head.encode() + content[:-1])
            time.sleep(0.3)
            children = workers(server)
            server.process.send_signal(sign)
            wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", server.port)) != 0, "it takes no more")
            connection.sendall(content[-1:])
            answer = connection.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b'"class":"5"' in answer
    assert all(map(ended, children))


@pytest.mark.long
def test_a_replaced_network_is_taken_up_whole_or_not_at_all(
    exports: Path, pictures: list[Path], tmp_path: Path
) -> None:
    served = Path(shutil.copytree(exports, tmp_path / "exports"))
    with serving(served, said="exports/fast: network.onnx is not the network") as server, server.client() as client:

        def digests() -> dict[str, str]:
            return {each["model"]: each["digest"] for each in client.get("/api/models").json()["models"]}

        before = digests()
        assert before["fast"] != before["mlp"]
        # Half of it: the description of another network.
        shutil.copy(served / "mlp/network.json", tmp_path / "half.json")
        (tmp_path / "half.json").replace(served / "fast/network.json")
        time.sleep(3)
        assert digests() == before
        assert client.post("/api/predict", content=pictures[2].read_bytes()).json()["pictures"][0]["class"] == "2"
        # All of it, as `glyphline export` puts it into its place.
        shutil.copytree(exports / "mlp", tmp_path / "new")
        (served / "fast").rename(tmp_path / "old")
        (tmp_path / "new").rename(served / "fast")
        wait_until(lambda: digests() == {"fast": before["mlp"], "mlp": before["mlp"]}, "it is taken up")
        answers = client.post("/api/compare", content=pictures[2].read_bytes()).json()["answers"]
        assert answers[0]["pictures"] == answers[1]["pictures"]


@pytest.mark.long
def test_a_process_that_is_killed_is_replaced(exports: Path, pictures: list[Path]) -> None:
    content = pictures[4].read_bytes()
    with serving(exports) as server, server.client() as client:
        for worker in workers(server):
            worker.kill()
            assert client.post("/api/predict", content=content).status_code == 200


@pytest.mark.long
def test_its_processes_end_with_it_however_it_ends(exports: Path) -> None:
    with serving(exports, status=-signal.SIGKILL, said="leaked semaphore") as server:
        children = workers(server)
        server.process.kill()
    wait_until(lambda: all(map(ended, children)), "its processes have ended")
