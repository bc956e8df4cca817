"""Pictures read and prepared in processes of their own: they take all cores, and the server's loop waits for none."""

from __future__ import annotations

import asyncio
import io
import multiprocessing
import os
import resource
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress

from glyphline.data.pictures import decode_picture
from glyphline.errors import PictureError
from glyphline.predict.command import Classified
from glyphline.predict.prepare import Preparation
from glyphline.serve.batches import Batches

MOST_PIXELS = 50_000_000  # of a picture: what today's telephones take
PICTURE_SECONDS = 5  # of a processor, for one picture; those that people send take two at most
MOST_MEMORY = 2 << 30  # bytes that a process may reserve; WebP takes 16 a pixel
LARGEST_BATCH = 8  # pictures that a process is given together

_Asked = tuple[str, bytes, Sequence[Preparation]]


class Preparing:
    """Processes that read and prepare pictures, as many as there are cores."""

    def __init__(self) -> None:
        count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._idle = [_new_process() for _ in range(count)]
        self._batches = Batches(self._prepared, LARGEST_BATCH, at_once=count)

    async def __call__(self, file: str, content: bytes, preparations: Sequence[Preparation]) -> list[Classified]:
        """The picture in `content`, called `file`, prepared in each way, or the sentence why it cannot be."""
        return await self._batches((file, content, preparations))

    async def _prepared(self, batch: list[_Asked], again: bool = True) -> list[list[Classified]]:
        began = time.monotonic()
        with suppress(BrokenProcessPool):
            return await self._by_a_process(batch)
        if len(batch) > 1:  # one picture ended the process: try each alone
            return [each for asked in batch for each in await self._prepared([asked])]
        if again and time.monotonic() - began < PICTURE_SECONDS:  # too soon to be the time limit: try once more
            return await self._prepared(batch, again=False)
        ((file, _, preparations),) = batch
        error = "the picture takes too much time or memory to be read; make it smaller first"
        return [[Classified(file, error) for _ in preparations]]

    async def _by_a_process(self, batch: list[_Asked]) -> list[list[Classified]]:
        """Raises BrokenProcessPool where the process ends meanwhile; another one takes its place."""
        process = self._idle.pop()
        try:
            return await asyncio.wrap_future(process.submit(_prepared, batch))
        except BrokenProcessPool:
            process = _new_process()
            raise
        finally:
            self._idle.append(process)

    async def start(self) -> None:
        """Start the processes now, so that the first picture does not wait for them."""
        await asyncio.gather(*(asyncio.wrap_future(process.submit(os.getpid)) for process in self._idle))

    def stop(self) -> None:
        """End the processes, none of which may be at work."""
        for process in self._idle:
            process.shutdown()


def _new_process() -> ProcessPoolExecutor:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for NumPy in the new process: there is one for each core
    # Forking a process that has threads, as ONNX Runtime makes, is not safe.
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_begin)


def _begin() -> None:
    """What each process does first: leave the processor to the loop that answers, and end with it."""
    os.nice(5)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the server ends its processes itself
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _prepared(batch: list[_Asked]) -> list[list[Classified]]:
    prepared = []
    for file, content, preparations in batch:
        # The signal ends the process: nothing else stops a decoder.
        signal.setitimer(signal.ITIMER_PROF, PICTURE_SECONDS)
        prepared.append([_prepared_for(file, content, preparation) for preparation in preparations])
        signal.setitimer(signal.ITIMER_PROF, 0)
    return prepared


def _prepared_for(file: str, content: bytes, preparation: Preparation) -> Classified:
    try:
        picture = decode_picture(io.BytesIO(content), preparation.pictures.values, MOST_PIXELS)
        return Classified(file, frames=picture.frames, prepared=preparation(picture))
    except PictureError as error:
        return Classified(file, str(error))
