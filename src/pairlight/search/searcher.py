"""Searches a store: builds the query vector, filters, ranks, folds duplicates, judges relevance."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pairlight.errors import ConfigError, DataError, ModelError
from pairlight.runtime.looks import several_looks
from pairlight.runtime.word_vectors import encode_queries
from pairlight.search.calibration import Calibration
from pairlight.search.matcher import ExactMatcher, Matcher
from pairlight.search.names import shown
from pairlight.search.photo import read_photo
from pairlight.search.records import Encoder, Filters, Fingerprint, Hit, Stored
from pairlight.search.store import Moment, Store
from pairlight.types import Json

# How much of each --not is taken away. By benchmarks/without.py, as the share of the first ten
# that show A and not B: 0.57 plain, 0.59 with B projected out or 0.25 subtracted, 0.60 to 0.61 with
# 0.4 to 0.6, 0.56 with 1 (which also costs photos of A).
NOT_WEIGHT = 0.5
# Photos at least this alike (cosine) are shown as one: bursts, copies in other sizes or formats.
ALIKE = 0.99
# The longest text, in characters: a model reads the first thirty words or so.
LONGEST = 1000
# Where nothing fits, this many of the nearest are shown as such.
NEAREST = 3


@dataclass(frozen=True)
class Query:
    """What is looked for: a text, an image file, or both, less the texts in `without`.

    At most `k` hits come; with `fold`, photos that are alike count as one. With `cut`, hits whose
    relevance is below the calibration's cutoff are left out.
    """

    text: str | None = None
    image: str | None = None
    without: tuple[str, ...] = ()
    filters: Filters = field(default_factory=Filters)
    k: int = 10
    fold: bool = True
    cut: bool = True

    def __post_init__(self) -> None:
        without = tuple(each for each in self.without if each.strip())
        object.__setattr__(self, "without", without)
        if not (self.text and self.text.strip()) and self.image is None:
            raise ConfigError("nothing to search for; give a text, --image FILE, or both")
        if (longest := max(map(len, (self.text or "", *without)))) > LONGEST:
            raise ConfigError(f"a text of {longest} characters; {LONGEST} are the most, shorten it")
        if self.k < 1:
            raise ConfigError(f"-k {self.k}: at least one hit must be asked for")

    def words(self) -> str:
        """Return the query as one line of words."""
        parts = [self.text or "", f"like {shown(self.image)}" if self.image else ""]
        parts += [f"not {each}" for each in self.without]
        return ", ".join(part for part in parts if part)

    def to_json(self) -> Json:
        """Return what was asked as plain values."""
        filters = {key: value for key, value in vars(self.filters).items() if value is not None}
        asked = {"text": self.text, "image": self.image, "not": list(self.without)}
        return {**asked, "filters": filters, "k": self.k}

    @property
    def plain(self) -> bool:
        """Whether it is a text and nothing else, the kind that calibrations are fitted on."""
        return self.image is None and not self.without


@dataclass(frozen=True)
class Result:
    """Hits, best first; `searched` of `photos` passed the filters.

    `best` is the highest relevance there was, cut off or not; `cutoff` the one applied, both None
    where relevance is not known, and then `note` says why. Where the cutoff leaves no hit,
    `nearest` are the first few that it took away; of the first `k`, it took `left_out`. `unknown`
    are the words of a text that the model has hardly met in training.
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
        hits = self._ranked(loaded, vector, query, allowed, passed, calibration)
        best = hits[0].relevance if hits else None
        cutoff = calibration.cutoff if calibration and query.cut else None
        nearest, left_out = [], 0
        if cutoff is not None:
            fit = [hit for hit in hits if hit.relevance is not None and hit.relevance >= cutoff]
            nearest, left_out = [] if fit else hits[:NEAREST], len(hits) - len(fit)
            hits = fit
        asked = " ".join([query.text or "", *query.without])
        strange = self.calibration.vocabulary.unknown(asked) if self.calibration else []
        photos = len(loaded.ids)
        return Result(hits, photos, searched, best, cutoff, note, nearest, strange, left_out)

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
    ) -> list[Hit]:
        """Return the first `k` hits; as many rows are looked at as it takes to fill them."""
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
                return hits[: query.k]
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


def query_vector(model: Encoder, query: Query) -> np.ndarray:
    """Return the unit vector (d,) float32 of a query.

    The unit vectors of text and image are added, so that both have a say; `NOT_WEIGHT` times that
    of each `without` is subtracted. A photo's score is its cosine with the result.
    """
    texts = [query.text.strip()] if query.text and query.text.strip() else []
    asked = [*texts, *query.without]
    parts = encode_queries(model, asked) if asked else None
    total = np.zeros(model.embed_dim, np.float64)
    if parts is not None:
        weights = [1.0] * len(texts) + [-NOT_WEIGHT] * len(query.without)
        total += np.asarray(weights) @ parts
    if query.image is not None:
        try:
            pixels, _ = read_photo(query.image, model.image_size)
        except DataError as error:
            raise DataError(f"--image {error}") from None
        total += model.encode_pixels(pixels[None])[0]
    length = float(np.linalg.norm(total))
    if not np.isfinite(length):
        raise ModelError(f"{model.name}: gave no number for this query; the model is damaged")
    if length < 1e-3:
        raise ConfigError("the parts of this query cancel each other out; change its --not")
    return (total / length).astype(np.float32)
