"""Searches a store: filters, ranks, folds duplicates, judges relevance."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pairlight.errors import ModelError
from pairlight.runtime.looks import several_looks
from pairlight.search.calibration import Calibration
from pairlight.search.matcher import ExactMatcher, Matcher, Spread
from pairlight.search.query import Query, query_vector
from pairlight.search.records import Encoder, Fingerprint, Hit, Stored
from pairlight.search.store import Moment, Store
from pairlight.types import Json

# Photos at least this alike (cosine) are shown as one: bursts, copies in other sizes or formats.
ALIKE = 0.99
# Where nothing fits, this many of the nearest are shown as such.
NEAREST = 3


@dataclass(frozen=True)
class Result:
    """Hits, best first; `searched` of `photos` passed the filters.

    `best` is the highest relevance there was, cut off or not; `cutoff` the one applied, both None
    where relevance is not known, and then `note` says why. Where the cutoff leaves no hit,
    `nearest` are the first few that it took away; of the first `k`, it took `left_out`. `unknown`
    are the words of a text that the model has hardly met in training. At least `fitting` photos of
    the whole store reach the cutoff, None where there is none.
    """

    hits: list[Hit]
    photos: int
    searched: int
    best: float | None
    cutoff: float | None
    note: str
    nearest: list[Hit] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    left_out: int = 0
    fitting: int | None = None

    def to_json(self) -> Json:
        """Return the result as plain values."""
        lists = {"hits": self.hits, "nearest": self.nearest}
        told = {key: [hit.to_json() for hit in hits] for key, hits in lists.items()}
        return {**vars(self), **told}


class _Loaded(NamedTuple):
    """One moment of a store, ready to be searched."""

    changes: int
    ids: np.ndarray
    vectors: np.ndarray
    matcher: Matcher
    looks: int


def exactly(moment: Moment) -> Matcher:
    """Return the matcher that ranks all vectors."""
    return ExactMatcher(moment.vectors)


def open_searcher(
    store: Store,
    load: Callable[[], Encoder],
    matcher: Callable[[Moment], Matcher] = exactly,
) -> Searcher:
    """Return a searcher with the model that `load` returns and the calibration it carries.

    Model and vectors are read side by side: for 100,000 photos each takes a quarter of a second.
    """
    with ThreadPoolExecutor(1) as pool:
        moment = pool.submit(Moment.of, store)
        model = load()
    return Searcher(store, model, Calibration.of(model), matcher, moment.result())


class Searcher:
    """A store and its model, held ready for many queries; safe to use from several threads."""

    def __init__(
        self,
        store: Store,
        model: Encoder,
        calibration: Calibration | None = None,
        matcher: Callable[[Moment], Matcher] = exactly,
        moment: Moment | None = None,
    ):
        self.store, self.model, self.calibration = store, model, calibration
        self._matcher = matcher
        self._turn = threading.Lock()
        self._loaded = self._load(moment)

    def refresh(self) -> bool:
        """Load the store again if it has changed; return whether it had."""
        with self._turn:
            if self.store.changes() == self._loaded.changes:
                return False
            self._loaded = self._load(None)
            return True

    @property
    def encoder(self) -> Encoder:
        """The model, looking at a photo as often as at those of the store."""
        return several_looks(self.model, self._loaded.looks)

    def search(self, query: Query) -> Result:
        """Return the hits for a query; raises `PairlightError` for one that makes no sense."""
        return self.search_vector(query_vector(self.encoder, query), query)

    def search_vector(self, vector: np.ndarray, query: Query) -> Result:
        """Return the hits for a query whose vector (d,) is known already."""
        loaded = self._loaded
        passed = self.store.matching(query.filters) if query.filters else None
        allowed = None
        if passed is not None:
            allowed = np.isin(loaded.ids, np.fromiter(passed, np.int64, len(passed)))
        searched = len(loaded.ids) if allowed is None else int(allowed.sum())
        note = self._why_unknown(query)
        calibration = self.calibration if not note else None
        hits, spread = self._ranked(loaded, vector, query, allowed, passed, calibration)
        best = hits[0].relevance if hits else None
        cutoff = calibration.cutoff if calibration and query.cut else None
        nearest, left_out, fitting = [], 0, None
        if calibration and cutoff is not None:
            fitting = calibration.fitting(spread, query.text or "", cutoff)
            fit = [hit for hit in hits if hit.relevance is not None and hit.relevance >= cutoff]
            nearest, left_out = [] if fit else hits[:NEAREST], len(hits) - len(fit)
            hits = fit
        asked = " ".join([query.text or "", *query.without])
        strange = self.calibration.vocabulary.unknown(asked) if self.calibration else []
        return Result(hits, len(loaded.ids), searched, best, cutoff, note, nearest, strange,
                      left_out, fitting)  # fmt: skip

    def _load(self, moment: Moment | None) -> _Loaded:
        moment = moment or Moment.of(self.store)
        made_by, mine = moment.model, Fingerprint.of(self.model)
        if made_by is not None and not made_by.same(mine):
            raise ModelError(
                f"{self.store.path}: its vectors are by {made_by}, and {mine} cannot search them; "
                "name the model it was indexed with, or index it again with --rebuild"
            )
        if len(moment.ids) == 0:
            moment = moment._replace(vectors=np.zeros((0, mine.embed_dim), np.float32))
        matcher, looks = self._matcher(moment), self.store.looks()
        return _Loaded(moment.changes, moment.ids, moment.vectors, matcher, looks)

    def _why_unknown(self, query: Query) -> str:
        if self.calibration is None:
            return f"relevance is not known: {self.model.name} has no calibration"
        if not query.plain:
            return "relevance is known for plain text queries only"
        return ""

    def _ranked(
        self,
        loaded: _Loaded,
        vector: np.ndarray,
        query: Query,
        allowed: np.ndarray | None,
        passed: dict[int, set[int]] | None,
        calibration: Calibration | None,
    ) -> tuple[list[Hit], Spread]:
        """Return the first `k` hits and how all photos score.

        As many rows are looked at as it takes to fill the hits.
        """
        wanted = query.k
        while True:
            rows, scores, spread = loaded.matcher.best(vector, wanted, allowed)
            text = query.text or ""
            relevance = calibration.relevance(scores, spread, text) if calibration else None
            photos = self.store.photos_of([int(loaded.ids[row]) for row in rows])
            found = []
            for place, row in enumerate(rows):
                content = int(loaded.ids[row])
                shown = [
                    photo
                    for photo in photos.get(content, [])
                    if passed is None or photo.id in passed[content]
                ]
                if shown:  # else it was deleted a moment ago
                    known = None if relevance is None else float(relevance[place])
                    found.append(
                        (row, Hit(shown[0], float(scores[place]), known, tuple(shown[1:])))
                    )
            found.sort(key=lambda pair: (-pair[1].score, pair[1].photo.path))
            hits = _folded(found, loaded.vectors, query)
            if len(hits) >= query.k or len(rows) >= len(loaded.ids) or len(rows) < wanted:
                return hits[: query.k], spread
            wanted *= 4


def _folded(found: list[tuple[int, Hit]], vectors: np.ndarray, query: Query) -> list[Hit]:
    """Join each hit to the first better one that it is like; without `fold`, undo the joining."""
    if not query.fold:
        single = [
            Hit(photo, hit.score, hit.relevance)
            for _, hit in found
            for photo in (hit.photo, *hit.duplicates)
        ]
        return sorted(single, key=lambda hit: (-hit.score, hit.photo.path))
    heads: list[int] = []
    groups: list[tuple[Hit, list[Stored]]] = []
    for row, hit in found:
        like = vectors[heads] @ vectors[row] if heads else np.zeros(0)
        close = np.flatnonzero(like >= ALIKE)
        if len(close):
            groups[close[0]][1].extend((hit.photo, *hit.duplicates))
        elif len(groups) == query.k:
            break
        else:
            heads.append(row)
            groups.append((hit, list(hit.duplicates)))
    return [Hit(hit.photo, hit.score, hit.relevance, tuple(more)) for hit, more in groups]
