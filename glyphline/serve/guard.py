"""Who may ask, and what every answer says to a browser: the layer around the application."""

from __future__ import annotations

import hmac
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def problem(status: int, sentence: str, headers: dict[str, str] | None = None, **more: object) -> JSONResponse:
    """An error as RFC 9457 has it. more: members beside those of the standard."""
    content = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": sentence, **more}
    return JSONResponse(content, status, headers, "application/problem+json")


class Guard:
    """Refuses whoever may not ask.

    host: what the server listens to. token: what a caller of the API has to bring. Without one the server listens to
    its own machine alone, and the Host header gives away a page whose name was made to point at this machine (DNS
    rebinding). A page of another origin is refused in both cases.
    """

    def __init__(self, app: ASGIApp, host: str, token: str | None) -> None:
        self._app = app
        self._hosts = {*LOOPBACK, f"[{host}]" if ":" in host else host.lower()}
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refused = self._refusal(Headers(scope=scope), scope["path"])
        await (refused or self._app)(scope, receive, send_with_headers)

    def _refusal(self, headers: Headers, path: str) -> JSONResponse | None:
        host, origin = headers.get("host", "").lower(), headers.get("origin")
        if self._token is None and not {host, host.rpartition(":")[0]} & self._hosts:
            return problem(421, f"this server is {' or '.join(LOOPBACK)}, and the request names another host")
        if origin is not None and origin.partition("://")[2].lower() != host:
            return problem(403, "a page of another origin may not ask this server")
        if self._token is not None and path.startswith("/api/") and not self._bears_token(headers):
            sentence = "the request needs the server's token, as in: Authorization: Bearer TOKEN"
            return problem(401, sentence, {"WWW-Authenticate": "Bearer"})
        return None

    def _bears_token(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), (self._token or "").encode())
