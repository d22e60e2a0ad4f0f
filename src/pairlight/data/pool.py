"""Runs image work in threads: Pillow and hashlib let go of the interpreter lock."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")

_AT_ONCE = 1024  # Waiting results stay few, however many items there are.


def in_threads(
    function: Callable[[A], B], items: Sequence[A], workers: int | None = None
) -> Iterator[B]:
    """Yield `function` of each item, in order, computed in threads (default: one a processor)."""
    workers = workers or min(16, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(items), _AT_ONCE):
            yield from pool.map(function, items[start : start + _AT_ONCE])


def untracked(items, what: str, total: int | None = None):
    """Return `items` as they are: the progress bar of callers that want none."""
    return items
