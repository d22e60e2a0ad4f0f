"""Runs a function over groups of items in threads, a few groups ahead of who asks."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_ahead(
    function: Callable[[T], R], groups: Iterable[Sequence[T]], threads: int, ahead: int = 2
) -> Iterator[list[R]]:
    """Yield `[function(item) for item in group]` for each group, in order.

    Pillow lets go of the interpreter while it decodes and resizes, so threads keep up with
    training, start at once and share memory. An exception of `function` is raised here.
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
