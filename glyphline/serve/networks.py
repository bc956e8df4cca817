"""The networks that are served: read again when their folder is replaced, and given images in batches."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glyphline.errors import GlyphlineError, printable
from glyphline.predict import exported
from glyphline.predict.exported import Exported
from glyphline.serve.batches import Batches

LARGEST_BATCH = 64  # images
SECONDS_BETWEEN_LOOKS = 1.0  # at the folders


class Batched:
    """A network; images that come while it computes form its next batch."""

    def __init__(self, network: Exported, threads: ThreadPoolExecutor) -> None:
        self.network = network
        self.name = network.folder.resolve().name  # not the variant's, which its float32 and int8 exports share
        self._threads = threads
        self.probabilities = Batches(self._probabilities, LARGEST_BATCH, at_once=1)  # of one image: (classes,) float32

    async def _probabilities(self, images: list[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        loop = asyncio.get_running_loop()
        return list(await loop.run_in_executor(self._threads, self.network.probabilities, np.stack(images)))


class Networks:
    """The networks by name, each the newest that could be read whole."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """Read them. Raises GlyphlineError: one of them cannot be read, two have one name, or there is none."""
        if not folders:
            raise GlyphlineError(
                f"{exported.EXPORTS}: there is no exported network to serve; make one with: "
                "glyphline export models/NAME.keras"
            )
        self._threads = ThreadPoolExecutor(1, "network")
        self._seen = {folder: _version(folder) for folder in folders}
        self._read = {folder: Batched(exported.load(folder), self._threads) for folder in folders}
        if len(self.by_name) < len(folders):
            names = ", ".join(sorted(printable(batched.name) for batched in self._read.values()))
            raise GlyphlineError(f"--model: two of these folders have the same name ({names}); rename one of them")

    @property
    def by_name(self) -> dict[str, Batched]:
        """In the order of the folders; the first is the one that answers where none is asked for."""
        return {batched.name: batched for batched in self._read.values()}

    async def follow(self) -> None:
        """Look at the folders again and again. A request that is under way keeps the network it began with."""
        while True:
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
            for folder in self._read:
                await asyncio.to_thread(self._look, folder)

    def _look(self, folder: Path) -> None:
        version = _version(folder)
        if version is None or version == self._seen[folder]:
            return
        self._seen[folder] = version
        try:
            network = exported.load(folder)
        except GlyphlineError as error:
            print(f"glyphline serve: {error}; the network read before is still served", file=sys.stderr, flush=True)
            return
        self._read[folder] = Batched(network, self._threads)


def _version(folder: Path) -> tuple[int, int] | None:
    """What changes when an export is moved into its place; None where there is none."""
    with suppress(OSError):
        status = (folder / exported.DESCRIPTION).stat()
        return status.st_ino, status.st_mtime_ns
    return None
