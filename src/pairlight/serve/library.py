"""Searches a store for many clients while it changes, and shows no path of the server."""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePath
from typing import IO, cast

import numpy as np

from pairlight.errors import ConfigError, DataError, ModelError, PairlightError
from pairlight.search.approximate_file import chooser
from pairlight.search.calibration import Calibration
from pairlight.search.names import glob_pattern, inside, shown, slashes
from pairlight.search.photo import refuse_heavy
from pairlight.search.query import Query, query_vector
from pairlight.search.records import Encoder, Filters, Hit, Stored
from pairlight.search.searcher import Result, Searcher
from pairlight.search.store import Store
from pairlight.serve.problems import LOG, Problem, in_api_words
from pairlight.types import Json

# Loading 100,000 vectors takes a quarter of a second; while an index run writes, it changes often.
_RELOAD_PAUSE = 8.0
# A file of few bytes can be of many pixels: so many take 0.4 GB, of which the process keeps most.
_MOST_UPLOADED_PIXELS = 50_000_000


class Library:
    """A store and its model, ready to be searched by what clients send; raises `Problem`.

    Searches are for one thread at a time; `place` and `photo` are for any.
    """

    def __init__(self, store: Store, model: Encoder):
        self.store, self.model = store, model
        self._roots = store.roots()
        self._inside = _Inside(store, self)
        matcher = chooser(store.path, LOG.warning)
        self._searcher = _LiveSearcher(
            cast(Store, self._inside), model, Calibration.of(model), matcher
        )
        self._pause_until = 0.0

    @property
    def calibration(self) -> Calibration | None:
        """The model's calibration, None where relevance is not known."""
        return self._searcher.calibration

    def warm_up(self) -> None:
        """Make the text tower ready, so that the first search is as quick as the next."""
        self.model.encode_texts(["a photo"])

    def search(self, query: Query, image: IO[bytes] | None = None) -> Result:
        """Return the hits for a query in words, for a photo (an open file), or for both."""
        self._refresh()
        if image is None:
            return self._ask(query)
        with tempfile.TemporaryDirectory(prefix="pairlight-") as folder:
            path = os.path.join(folder, "image")
            with open(path, "wb") as file:
                image.seek(0)
                shutil.copyfileobj(image, file)
            try:
                refuse_heavy(path, self.model.image_size, _MOST_UPLOADED_PIXELS)
            except DataError as error:
                raise Problem(422, str(error).replace(path, "image")) from None
            return self._ask(replace(query, image=path))

    def similar(self, id: int, query: Query) -> Result:
        """Return the photos most like the one of `id`, itself and what is folded into it left out.

        Of `query`, its filters, `k` and `fold` count.
        """
        self._refresh()
        photo = self.store.photo(id)
        vector = self._searcher.vector_of(photo.content) if photo else None
        if photo is None or vector is None:
            raise Problem(404, f"there is no photo {id} (any more)")
        # One more, since the photo itself comes first; unfolded, all its copies do.
        copies = 1
        if not query.fold:
            copies = len(self.store.photos_of([photo.content]).get(photo.content, []))
        asked = Query(image=photo.path, filters=query.filters, k=query.k + copies, fold=query.fold)
        with _ours():
            found = self._searcher.search_vector(vector, asked)
        others = [
            hit
            for hit in found.hits
            if all(each.content != photo.content for each in (hit.photo, *hit.duplicates))
        ]
        return replace(found, hits=others[: query.k])

    def _ask(self, query: Query) -> Result:
        try:
            vector = query_vector(self._searcher.encoder, query)
        except (ConfigError, DataError) as error:
            text = str(error).replace(f"--image {query.image}", "image")
            raise Problem(422, in_api_words(text)) from None
        except ModelError as error:
            LOG.error("%s", error)
            raise Problem(500, "the model is damaged; the server's log has more") from None
        with _ours():
            return self._searcher.search_vector(vector, query)

    def _refresh(self) -> None:
        """Pick up what an index run has changed; seldom while it writes, at once when it rests."""
        start = time.monotonic()
        if start < self._pause_until:
            return
        with _ours():
            try:
                changed = self._searcher.refresh()
            except ModelError as error:
                LOG.error("%s", error)
                text = "the store was indexed with another model; start the server again with it"
                # Only a person can help here, which takes longer than a queue to clear.
                raise Problem(503, text, {"Retry-After": "60"}) from None
            if changed:
                self._roots = self.store.roots()
                end = time.monotonic()
                self._pause_until = end + _RELOAD_PAUSE * (end - start)

    def place(self, photo: Stored) -> tuple[str, str]:
        """Return a photo's file name, and its folder from the indexed one on; both safe to show."""
        folder, name = os.path.split(self.relative(photo.path))
        return shown(name), shown(slashes(folder))

    def relative(self, path: str) -> str:
        """Return a path from the name of the indexed folder on, never what is above that."""
        for root in sorted(self._roots, key=len, reverse=True):
            if inside(path, root):
                below = path[len(root.rstrip(os.sep)) :].lstrip(os.sep)
                return os.path.join(PurePath(root).name, below)
        return os.path.basename(path)

    def hit(self, hit: Hit) -> Json:
        """Return a hit as clients get it."""
        return {
            **self.photo(hit.photo),
            "score": hit.score,
            "relevance": hit.relevance,
            "duplicates": [self.photo(each) for each in hit.duplicates],
        }

    def photo(self, photo: Stored) -> Json:
        """Return a stored photo as clients get it."""
        name, folder = self.place(photo)
        address = f"/api/v1/photos/{photo.id}"
        return {
            "id": photo.id,
            "name": name,
            "folder": folder,
            "taken": photo.taken,
            "width": photo.width,
            "height": photo.height,
            "size": photo.size,
            "photo": address,
            "thumbnail": f"{address}/thumbnail",
        }

    def stats(self) -> Json:
        """Return what there is to search."""
        with _ours():
            photos, roots = self.store.count(), self.store.roots()
            skipped = len(self.store.skipped())
        calibration = self.calibration
        return {
            "photos": photos,
            "skipped": skipped,
            "folders": [shown(PurePath(root).name) for root in roots],
            "model": {"name": self.model.name, "embed_dim": self.model.embed_dim},
            "cutoff": calibration.cutoff if calibration else None,
        }


@contextlib.contextmanager
def _ours() -> Iterator[None]:
    """Turn a failure that is none of the client's into one line, without the store's path."""
    try:
        yield
    except PairlightError as error:
        LOG.error("%s", error)
        text = "the store cannot be read now; the server's log has more"
        raise Problem(503, text, {"Retry-After": "5"}) from None


class _LiveSearcher(Searcher):
    """A searcher that also gives the vector of what it holds."""

    def vector_of(self, content: int) -> np.ndarray | None:
        """Return the vector (d,) of a content id, None when it is not held."""
        loaded = self._loaded
        rows = np.flatnonzero(loaded.ids == content)
        return loaded.vectors[rows[0]] if len(rows) else None


class _Inside:
    """A store whose path filters see only the path that clients are shown.

    On the whole path, `path=/home/a*` would tell names of folders that nobody asked to show.
    """

    def __init__(self, store: Store, library: Library):
        self._store, self._library = store, library
        self._paths: tuple[int, dict[int, str]] = (-1, {})

    def __getattr__(self, name: str):
        return getattr(self._store, name)

    def matching(self, filters: Filters) -> dict[int, set[int]]:
        passed = self._store.matching(replace(filters, path=None))
        if filters.path is None:
            return passed
        changes = self._store.changes()
        if self._paths[0] != changes:
            known = self._store.known()
            relative = self._library.relative
            self._paths = changes, {each.id: slashes(relative(each.path)) for each in known}
        fits, paths = glob_pattern([filters.path]).match, self._paths[1]
        kept = {
            content: {id for id in ids if id in paths and fits(paths[id])}
            for content, ids in passed.items()
        }
        return {content: ids for content, ids in kept.items() if ids}
