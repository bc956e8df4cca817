"""Calls put into batches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from math import ceil
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batches(Generic[Item, Result]):
    """While `at_once` batches are under way, calls that come wait, and form the next batch.

    work: takes a batch of at most `largest` items and gives a result for each. All callers of the batch get what it
    raises.
    """

    def __init__(self, work: Callable[[list[Item]], Awaitable[Sequence[Result]]], largest: int, at_once: int) -> None:
        self._work = work
        self._largest = largest
        self._at_once = at_once
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._running: set[asyncio.Task[None]] = set()

    async def __call__(self, item: Item) -> Result:
        """The result for one item."""
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if len(self._running) < self._at_once:
            self._running.add(task := asyncio.create_task(self._run()))
            task.add_done_callback(self._running.discard)
        return await answer

    async def _run(self) -> None:
        while self._waiting:
            size = min(self._largest, ceil(len(self._waiting) / self._at_once))
            batch, self._waiting = self._waiting[:size], self._waiting[size:]
            batch = [(item, answer) for item, answer in batch if not answer.done()]  # some callers may have given up
            if not batch:
                continue
            try:
                results = await self._work([item for item, _ in batch])
            except Exception as error:
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(error)
            else:
                for (_, answer), result in zip(batch, results, strict=True):
                    if not answer.done():
                        answer.set_result(result)
