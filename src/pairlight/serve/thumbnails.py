"""Makes pictures of stored photos, by id only: upright JPEGs without any of their metadata."""

import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple

from pairlight.search.gallery import SIDE, thumbnail
from pairlight.search.store import Store
from pairlight.serve.problems import Problem

VIEW_SIDE = 2048


class Picture(NamedTuple):
    """A JPEG and its ETag; `jpeg` is None where the client has that very one already."""

    etag: str
    jpeg: bytes | None


class Cache:
    """Keeps what was used last, up to `most` bytes; safe to use from several threads."""

    def __init__(self, most: int):
        self.most, self.size = most, 0
        self._turn = threading.Lock()
        self._held: OrderedDict[Hashable, bytes] = OrderedDict()

    def get(self, key: Hashable) -> bytes | None:
        """Return what is kept under `key`, None where nothing is."""
        with self._turn:
            if key in self._held:
                self._held.move_to_end(key)
            return self._held.get(key)

    def put(self, key: Hashable, value: bytes) -> None:
        """Keep `value`, and drop what was unused longest to make room."""
        if len(value) > self.most:
            return
        with self._turn:
            self.size += len(value) - len(self._held.pop(key, b""))
            self._held[key] = value
            while self.size > self.most:
                self.size -= len(self._held.popitem(last=False)[1])


class Pictures:
    """The photos of a store as JPEGs that a browser can show.

    Photos are decoded and written anew: what reaches the browser is a picture and nothing else,
    whatever the file holds, and does not tell where it was taken.
    """

    def __init__(self, store: Store, cache_bytes: int):
        self._store, self.cache = store, Cache(cache_bytes)

    def thumbnail(self, id: int, known: str | None = None) -> Picture:
        """Return a photo, its longer side at most 320 pixels; raises `Problem`."""
        return self._picture(id, SIDE, known)

    def view(self, id: int, known: str | None = None) -> Picture:
        """Return a photo, its longer side at most 2048 pixels; raises `Problem`."""
        return self._picture(id, VIEW_SIDE, known)

    def _picture(self, id: int, side: int, known: str | None) -> Picture:
        photo = self._store.photo(id)
        if photo is None:
            raise Problem(404, f"there is no photo {id} (any more)")
        try:
            facts = os.stat(photo.path)
        except OSError:
            facts = None
        if facts is None or not stat.S_ISREG(facts.st_mode):
            raise Problem(410, f"the file of photo {id} is gone; index again to forget it")
        version = (id, side, facts.st_mtime_ns, facts.st_size)
        etag = '"{:x}-{:x}-{:x}-{:x}"'.format(*version)
        if known is not None and _names(known, etag):
            return Picture(etag, None)
        jpeg = self.cache.get(version)
        if jpeg is None:
            jpeg = thumbnail(photo.path, side)
            if jpeg is None:
                raise Problem(410, f"the file of photo {id} cannot be opened any more; index again")
            if side == SIDE:
                self.cache.put(version, jpeg)
        return Picture(etag, jpeg)


def _names(known: str, etag: str) -> bool:
    """Whether an If-None-Match header names `etag` (RFC 9110, section 13.1.2)."""
    return known.strip() == "*" or etag in [
        each.strip().removeprefix("W/") for each in known.split(",")
    ]
