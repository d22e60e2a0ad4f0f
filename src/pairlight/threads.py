"""Runs image work in threads: Pillow and hashlib let go of the interpreter lock."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_GROUP = 256  # Waiting results stay few, however many items there are.


def map_ahead(
    function: Callable[[T], R], groups: Iterable[Sequence[T]], threads: int, ahead: int = 2
) -> Iterator[list[R]]:
    """Yield `[function(item) for item in group]` for each group, in order.

    Works up to `ahead` groups before they are asked for. Threads keep up with training, start at
    once and share memory. An exception of `function` is raised here.
    """
    pool = ThreadPoolExecutor(max(1, threads))
    waiting: deque[list[Future[R]]] = deque()
    try:
        for group in groups:
            waiting.append([pool.submit(function, item) for item in group])
            if len(waiting) > ahead:
                yield [future.result() for future in waiting.popleft()]
        while waiting:
            yield [future.result() for future in waiting.popleft()]
    finally:
        # Whoever stopped listening waits for the items in hand only.
        pool.shutdown(cancel_futures=True)


def in_threads(
    function: Callable[[T], R], items: Sequence[T], threads: int | None = None
) -> Iterator[R]:
    """Yield `function` of each item, in order, computed in threads (default: one a processor)."""
    threads = threads or min(16, os.cpu_count() or 1)
    groups = (items[start : start + _GROUP] for start in range(0, len(items), _GROUP))
    for group in map_ahead(function, groups, threads):
        yield from group


def untracked(items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
    """Return `items` as they are: the progress bar of callers that want none."""
    return items
