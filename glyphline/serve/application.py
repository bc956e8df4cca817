"""The page and the API: what is asked, what is answered, and what is too much.

Each limit holds for all callers together or for one request, so that no number of them takes more than so much memory
and time. A request that comes when they are reached gets 503 at once.
"""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from glyphline.predict.command import Classified, for_programs
from glyphline.report import html
from glyphline.serve.guard import Guard, problem
from glyphline.serve.networks import Batched, Networks
from glyphline.serve.pictures import Preparing

MOST_BODY = 16 << 20  # bytes of one request: a photograph has 2 to 10 MiB
MOST_BYTES = 128 << 20  # bytes of the bodies of all requests
MOST_REQUESTS = 64  # under way at once: some 200 ms of work
MOST_PICTURES = 32  # of one request
MOST_WAITING = 256  # pictures of all requests
BODY_SECONDS = 10  # for a body to arrive
ANSWER_SECONDS = 30  # for the answer after that
MOST_NAMED = 10  # classes that `compare` gives with their probabilities

HERE = Path(__file__).parent


class _RefusalError(Exception):
    """What the caller gets instead of an answer."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.response = problem(status, sentence, {"Retry-After": "1"} if status == 503 else None)


BUSY = "the server is busy; try again in a second"
TOO_LARGE = f"the request has more than {MOST_BODY >> 20} MiB; send smaller or fewer pictures"


def application(networks: Networks, preparing: Preparing, host: str, token: str | None) -> Starlette:
    """The ASGI application. host: what it listens to, of this machine alone where there is no token."""
    work = _Work(preparing)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await preparing.start()
        following = asyncio.create_task(networks.follow())
        yield
        following.cancel()
        await asyncio.to_thread(preparing.stop)

    async def predict(request: Request) -> Response:
        ((batched, results),) = await work.answers(request, _asked(request, networks, default=1))
        record: dict[str, Any] = {"model": batched.name, "pictures": [_told(batched, each) for each in results]}
        errors = [each.error for each in results if each.error]
        if len(errors) == len(results):
            return problem(422, "; ".join(dict.fromkeys(errors)), **record)
        return JSONResponse(record)

    async def compare(request: Request) -> Response:
        answers = [
            {
                "model": batched.name,
                "pictures": [_told(batched, each) | _detailed(batched, each) for each in results],
            }
            for batched, results in await work.answers(request, _asked(request, networks))
        ]
        return JSONResponse({"answers": answers})

    async def models(_request: Request) -> Response:
        return JSONResponse({"models": [_described(batched) for batched in networks.by_name.values()]})

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    return Starlette(
        routes=[
            *(_file(*each) for each in FILES),
            Route("/healthz", health),
            Route("/api/models", models),
            Route("/api/predict", predict, methods=["POST"]),
            Route("/api/compare", compare, methods=["POST"]),
        ],
        middleware=[Middleware(Guard, host=host, token=token)],
        exception_handlers={
            _RefusalError: lambda _request, refusal: refusal.response,
            HTTPException: _http_problem,
            ClientDisconnect: lambda _request, _gone: Response(status_code=400),
            Exception: lambda _request, _error: problem(
                500, "the server made a mistake, which its standard error tells"
            ),
        },
        lifespan=lifespan,
    )


FILES = (
    ("/", "text/html", [HERE / "page.html"]),
    ("/page.css", "text/css", [html.STYLE, html.PAD_STYLE, HERE / "page.css"]),
    ("/page.js", "text/javascript", [html.PAD, HERE / "page.js"]),
    ("/openapi.json", "application/json", [HERE / "openapi.json"]),
)


def _file(path: str, media_type: str, files: list[Path]) -> Route:
    content = html.joined(*files)

    async def answer(_request: Request) -> Response:
        return Response(content, media_type=media_type)

    return Route(path, answer)


def _http_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentence = {
        404: "there is nothing at this address; /openapi.json says what there is",
        405: "this address does not answer this method; /openapi.json says which",
    }.get(error.status_code, error.detail)
    return problem(error.status_code, sentence, dict(error.headers or {}))


def _asked(request: Request, networks: Networks, default: int | None = None) -> list[Batched]:
    """The networks that a request names, `default` at most, or else the first `default`; None: all."""
    by_name = networks.by_name
    names = list(dict.fromkeys(request.query_params.getlist("model"))) or list(by_name)[:default]
    if default and len(names) > default:
        raise _RefusalError(400, "predict asks one model; give one, or ask /api/compare")
    if not set(names) <= set(by_name):
        raise _RefusalError(404, f"there is no model of this name; there are: {', '.join(by_name)}")
    return [by_name[name] for name in names]


class _Work:
    """Pictures read, prepared and classified, no more at once than the limits let."""

    def __init__(self, preparing: Preparing) -> None:
        self._preparing = preparing
        self._requests = self._bytes = self._pictures = 0  # under way

    async def answers(self, request: Request, asked: Sequence[Batched]) -> list[tuple[Batched, list[Classified]]]:
        """What each network that is asked makes of each picture of the request."""
        if self._requests >= MOST_REQUESTS:
            raise _RefusalError(503, BUSY)
        if int(request.headers.get("content-length", 0)) > MOST_BODY:
            raise _RefusalError(413, TOO_LARGE)
        held = pictures = 0

        async def body() -> AsyncGenerator[bytes, None]:
            nonlocal held
            async for chunk in request.stream():
                held += len(chunk)
                self._bytes += len(chunk)
                if held > MOST_BODY:
                    raise _RefusalError(413, TOO_LARGE)
                if self._bytes > MOST_BYTES:
                    raise _RefusalError(503, BUSY)
                yield chunk

        self._requests += 1
        try:
            async with _at_most(BODY_SECONDS, 408, f"the request took longer than {BODY_SECONDS} s to arrive"):
                contents = await _contents(request, body())
            pictures = len(contents)
            self._pictures += pictures
            if self._pictures > max(MOST_WAITING, pictures):
                raise _RefusalError(503, BUSY)
            async with _at_most(ANSWER_SECONDS, 503, f"the answer took longer than {ANSWER_SECONDS} s"):
                by_picture = await asyncio.gather(*(self._classified(*content, asked) for content in contents))
        finally:
            self._requests -= 1
            self._bytes -= held
            self._pictures -= pictures
        return [(batched, [results[number] for results in by_picture]) for number, batched in enumerate(asked)]

    async def _classified(self, file: str, content: bytes, asked: Sequence[Batched]) -> list[Classified]:
        """One picture by each network."""
        preparations = list(dict.fromkeys(batched.network.preparation for batched in asked))
        prepared = dict(zip(preparations, await self._preparing(file, content, preparations), strict=True))

        async def by(batched: Batched) -> Classified:
            one = prepared[batched.network.preparation]
            if one.prepared is None:
                return one
            return replace(one, probabilities=await batched.probabilities(one.prepared.image))

        return await asyncio.gather(*map(by, asked))


@asynccontextmanager
async def _at_most(seconds: float, status: int, sentence: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise _RefusalError(status, sentence) from None


async def _contents(request: Request, body: AsyncGenerator[bytes, None]) -> list[tuple[str, bytes]]:
    """Name and bytes of each picture: the files of a form, or else the body as it is."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        content = b"".join([chunk async for chunk in body])
        if not content:
            raise _RefusalError(400, "the request has no body; send a picture, or a form with several")
        return [("picture", content)]
    parser = MultiPartParser(request.headers, body, max_files=MOST_PICTURES, max_fields=0)
    parser.spool_max_size = MOST_BODY  # in memory: nothing is stored
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise _RefusalError(400, f"the form cannot be read ({error.message.rstrip('.')})") from None
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    if not files:
        raise _RefusalError(400, "the form has no file; send each picture as one: curl -F picture=@FILE")
    return [(file.filename or "picture", file.file.read()) for file in files]


def _told(batched: Batched, result: Classified) -> dict[str, Any]:
    return for_programs(result, batched.network.classes)


def _detailed(batched: Batched, result: Classified) -> dict[str, Any]:
    """What `compare` says beyond `predict`: the most probable classes, and the image that the network saw."""
    if result.probabilities is None or result.prepared is None:
        return {}
    best = (-result.probabilities).argsort(kind="stable")[:MOST_NAMED]
    return {
        "probabilities": [
            {
                "class": batched.network.classes[number],
                "number": int(number),
                "percent": round(100 * float(result.probabilities[number]), 2),
            }
            for number in best
        ],
        "image": _png(result.prepared.image),
    }


def _png(image: NDArray[np.uint8]) -> str:
    """An image as a data URL."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _described(batched: Batched) -> dict[str, Any]:
    network = batched.network
    return {
        "model": batched.name,
        "classes": network.classes,
        "side": network.description.side,
        "channels": network.description.channels,
        "pictures": network.description.pictures.model_dump(),
        "precision": network.description.precision,
        "digest": network.digest,
    }
