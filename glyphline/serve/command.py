"""`glyphline serve`: listen, and answer until it is told to stop."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import signal
import socket
from asyncio import TimerHandle, Transport
from collections.abc import Sequence
from pathlib import Path

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from glyphline.errors import GlyphlineError, printable
from glyphline.predict import exported
from glyphline.serve.application import application
from glyphline.serve.guard import problem
from glyphline.serve.networks import Networks
from glyphline.serve.pictures import Preparing

MOST_CONNECTIONS = 2000
REQUEST_SECONDS = 20  # that a connection is kept for a request to come in, or for an answer to be taken
SHUTDOWN_SECONDS = 45  # for what is under way; more than a body and an answer may take


def serve(folders: Sequence[Path], host: str, port: int, token: str | None) -> None:
    """Answer requests until SIGINT or SIGTERM, and then finish what is under way.

    folders: what `glyphline export` wrote; if empty, all ONNX networks in exports/. port: 0 for any that is free.
    token: what callers of the API have to bring; may only be None where `host` is of this machine alone. Raises
    GlyphlineError.
    """
    if token is None and not _is_loopback(host):
        raise GlyphlineError(
            f"--host {host}: others can reach this address, so they need a token to ask; choose a long one and give it "
            "as GLYPHLINE_TOKEN in the environment"
        )
    if token is not None and not (token.isascii() and token.isprintable() and token == token.strip() != ""):
        raise GlyphlineError("the token: expected printable ASCII characters without a space at either end")
    networks = Networks(folders or [each for each in exported.folders() if (each / exported.FILES["onnx"]).is_file()])
    listener = _listener(host, port)
    configuration = uvicorn.Config(
        application(networks, Preparing(), host, token),
        http=_Connection,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    for library in ("uvicorn", "python_multipart"):
        logging.getLogger(library).setLevel(logging.ERROR)  # what clients do wrong is no news
    name = f"[{host}]" if ":" in host else host
    address = f"http://{name}:{listener.getsockname()[1]}/"
    said = f"glyphline serve: {', '.join(map(printable, networks.by_name))} at {address}; Ctrl-C ends it"
    if token is not None:
        said += f"\nThe page asks for the token, or takes it from the address: {address}#TOKEN"
    # uvicorn raises the signal again after its shutdown; ignored, so that the exit status is 0.
    signal.signal(signal.SIGTERM, lambda *_: None)
    with contextlib.suppress(KeyboardInterrupt):
        _Server(configuration, said).run([listener])


def _addresses(host: str) -> list[tuple[socket.AddressFamily, str]]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise GlyphlineError(f"--host {host}: there is no such address of this machine") from None
    return [(family, str(address[0])) for family, _, _, _, address in found]


def _is_loopback(host: str) -> bool:
    return all(ipaddress.ip_address(address).is_loopback for _, address in _addresses(host))


def _listener(host: str, port: int) -> socket.socket:
    family, address = _addresses(host)[0]
    try:
        return socket.create_server((address, port), family=family, backlog=1024)
    except (OSError, OverflowError) as error:
        reason = os.strerror(error.errno or 0) if isinstance(error, OSError) else "a port is 0 to 65535"
        raise GlyphlineError(f"{host}:{port}: cannot listen there ({reason}); choose another --port") from None


class _Server(uvicorn.Server):
    """Says that it is ready once it is."""

    def __init__(self, configuration: uvicorn.Config, said: str) -> None:
        super().__init__(configuration)
        self._said = said

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(self._said, flush=True)


class _Connection(H11Protocol):
    """A connection that is cut off where its client keeps us waiting.

    While a request is under way, the application's limits hold.
    """

    _deadline: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
            return
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP with a problem; during another answer, only cut it off."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE) or (
            self.cycle and not self.cycle.response_complete
        ):
            self.transport.abort()
            return
        answer = problem(400, "this is no HTTP request", {"Connection": "close"})
        for event in (
            h11.Response(status_code=400, headers=answer.raw_headers, reason=b"Bad Request"),
            h11.Data(bytes(answer.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _wait(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(REQUEST_SECONDS, self._cut_off)

    def _cut_off(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()
