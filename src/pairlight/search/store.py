"""Says what a store of photos and vectors must do, and opens one by its name."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from pairlight.errors import ConfigError
from pairlight.search.records import Batch, Filters, Fingerprint, Found, Known, Stored


class Store(Protocol):
    """Photos, their facts and their vectors; every method raises `PairlightError`, in one line.

    The vectors of one model at a time are searched: the active one. Content ids number distinct
    bytes: photos whose files are equal share one, and its vector.
    """

    path: Path

    def __enter__(self) -> "Store": ...
    def __exit__(self, *_: object) -> None: ...

    def close(self) -> None:
        """Let go of the store, and let other writers in."""
        ...

    def model(self) -> Fingerprint | None:
        """Return the active model; None before the first run."""
        ...

    def looks(self) -> int:
        """Return how many looks at each photo its vector is the mean of."""
        ...

    def changes(self) -> int:
        """Return a number that grows whenever photos or vectors change."""
        ...

    def known(self) -> list[Known]:
        """Return every photo, in no order."""
        ...

    def embedded(self, model: int) -> dict[bytes, int]:
        """Return sha256 -> content id of all bytes that have a vector of `model`."""
        ...

    def hashes(self, contents: Iterable[int]) -> dict[int, bytes]:
        """Return content id -> sha256 of the content ids asked for."""
        ...

    def roots(self) -> list[str]:
        """Return the folders that were indexed, sorted."""
        ...

    def mounts(self) -> set[str]:
        """Return the folders on which a disk was mounted when they were last scanned."""
        ...

    def skipped(self) -> dict[str, str]:
        """Return path -> reason of what the last whole run of each folder left out."""
        ...

    def count(self) -> int:
        """Return how many photos there are."""
        ...

    def distinct(self) -> int:
        """Return how many photos differ: files with the same bytes are one."""
        ...

    def vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """Return content ids (n,) int64 and vectors (n, d) float32 of the active model.

        Both are of one moment, whatever a writer does meanwhile.
        """
        ...

    def photos_of(self, contents: Sequence[int]) -> dict[int, list[Stored]]:
        """Return the photos of each content id, sorted by path."""
        ...

    def photo(self, id: int) -> Stored | None:
        """Return the photo of an id, None when there is none; ids are never used again."""
        ...

    def matching(self, filters: Filters) -> dict[int, set[int]]:
        """Return content id -> ids of its photos that pass `filters`."""
        ...

    def add_model(self, model: Fingerprint, looks: int = 1, apart: bool = False) -> int:
        """Return the number of a model here; it is searched only once `activate`d.

        With `apart` it is that of vectors to come instead of the active ones, even by the same
        model; a later run with the same model and looks gets it again.
        """
        ...

    def activate(self, model: int, looks: int = 1) -> None:
        """Search the vectors of `model` from now on and drop all others, in one step.

        They are of so many `looks` at each photo.
        """
        ...

    def rename(self, moves: dict[int, Found], gone: Iterable[int]) -> None:
        """Enter, by id, which files photos are now, and drop photos `gone`, in one step."""
        ...

    def commit(self, model: int, batch: Batch) -> None:
        """Write one batch: all of it, safe from a crash when this returns, or nothing."""
        ...

    def finish(
        self,
        roots: Iterable[str],
        gone: Sequence[int],
        skipped: dict[str, str],
        mounts: set[str],
        forgotten: Iterable[str] = (),
        now: str = "",
    ) -> None:
        """End a whole run in one step: drop photos `gone`, note roots, mounts and skipped."""
        ...


class Moment(NamedTuple):
    """What a store held at one moment: `ids` (n,) of contents and their `vectors` (n, d)."""

    model: Fingerprint | None
    changes: int
    ids: np.ndarray
    vectors: np.ndarray

    @classmethod
    def of(cls, store: Store) -> "Moment":
        """Return what `store` holds now."""
        while True:
            # Read before the vectors: a change in between is then noticed by the next refresh.
            model, changes = store.model(), store.changes()
            ids, vectors = store.vectors()
            if store.model() == model:  # else a rebuild was completed just now
                return cls(model, changes, ids, vectors)


def open_store(name: str, write: bool = False) -> Store:
    """Return the store called `name`, the path of a file; with `write` it is made when absent.

    Raises `PairlightError` when it is not there, not a store, or being written by another.
    """
    if "://" in name:
        raise ConfigError(f"--store {name}: only a file can be a store in this version")
    from pairlight.search.sqlite import SqliteStore

    return SqliteStore(Path(name), write)
