"""Ranks millions of vectors by way of a FAISS index that is measured before it is trusted.

The index (inverted lists of product-quantised vectors, 2 bits a dimension, in FAISS's fast scan)
only proposes candidates: they are ranked by the exact product with the vectors themselves, so all
scores are right. What it may do is miss one; how seldom is measured when it is built, and one that
misses too many is not kept. Jegou et al., Product Quantization for Nearest Neighbor Search, 2011;
Andre et al., Cache locality is not enough: PQ Fast Scan, 2015. On embeddings as spread out as ours
a quarter of the lists or more must be looked at, where 8 bits a dimension gain little (measured).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache

import numpy as np

from pairlight.search.matcher import ExactMatcher, Spread, ranked, ranks_up_to, spread_of
from pairlight.types import Json

RECALL = 0.99
# Hits at which recall must hold; more than the last are ranked exactly.
DEPTHS = (10, 50)
# Candidates that are ranked exactly: 2 bits a number order what is near wrongly.
WIDE, LEAST_CANDIDATES = 10, 200
PHOTO_QUERIES = 100
_TRAINING = 40  # vectors a list that the lists' centres are found from
_ASKED = 16_384  # photos that say how all scores lie: half a millisecond


@cache
def faiss_module():
    """Return the module faiss, or None where it is not installed."""
    try:
        import faiss
    except ImportError:
        return None
    return faiss


class ApproximateMatcher:
    """Ranks the candidates of a FAISS index exactly; filters and long lists go past the index.

    How the scores of all photos lie is told by the candidates as deep as these were tried, and from
    there on by every n-th photo.
    """

    def __init__(self, vectors: np.ndarray, index, probes: int):
        self.exact = ExactMatcher(vectors)
        self.index, self.probes = index, probes
        self._some = np.ascontiguousarray(vectors[:: max(1, len(vectors) // _ASKED)])

    def best(
        self, query: np.ndarray, k: int, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, Spread]:
        """Return rows, scores and spread as `Matcher.best` says; ties among the candidates only."""
        if allowed is not None or k > DEPTHS[-1]:
            return self.exact.best(query, k, allowed)
        faiss = faiss_module()
        assert faiss is not None
        query = np.ascontiguousarray(query, np.float32)
        how = faiss.SearchParametersIVF()
        how.nprobe = self.probes
        _, found = self.index.search(query[None], max(WIDE * k, LEAST_CANDIDATES), params=how)
        rows = np.sort(found[0][found[0] >= 0])
        if len(rows) < min(k, len(self.exact.vectors)):
            return self.exact.best(query, k)
        rows, scores = ranked(self.exact.vectors, rows, query, DEPTHS[-1])
        kept = scores >= scores[min(k, len(scores)) - 1]
        return rows[kept], scores[kept], self._spread(query, scores)

    def _spread(self, query: np.ndarray, best: np.ndarray) -> Spread:
        """Return the spread of all scores, of which `best` (c,) are the first, in falling order."""
        count, some = len(self.exact.vectors), spread_of(self._some @ query)
        ranks = ranks_up_to(count)
        near = ranks <= len(best)
        share = np.log(ranks[~near] * (len(self._some) / count))
        far = np.interp(share, np.log(some.ranks), some.scores)
        # Between the last of `best` and the first that the sample reaches, scores are the former.
        scores = np.concatenate([best[ranks[near] - 1], np.minimum(far, best[-1])])
        return Spread.of(some.median, count, scores, ranks)


@dataclass(frozen=True)
class Built:
    """What building gave: `matcher` is None where too much was missed."""

    matcher: ApproximateMatcher | None
    recall: float
    lists: int
    probes: int
    seconds: float

    def to_json(self) -> Json:
        """Return the facts as plain values."""
        return {"kept": self.matcher is not None, "recall": self.recall, "lists": self.lists,
                "probes": self.probes, "seconds": self.seconds}  # fmt: skip

    def line(self) -> str:
        """Return one line for a terminal."""
        share = f"finds {self.recall:.1%} of what exact ranking finds"
        if self.matcher is None:
            return f"no FAISS index: it {share}, too little; searches stay exact"
        return f"FAISS index built in {self.seconds:.0f} s: it {share}; searches use it"


def build(vectors: np.ndarray, texts: np.ndarray, seed: int = 0) -> Built:
    """Build an index of `vectors` (n, d), tried on `texts` (m, d) and on photos drawn by `seed`.

    The recall is the least of those at `DEPTHS` for either kind of query: texts are further from
    any photo than photos are, and lists made of photos suit them less. As few lists are looked at
    as keep `RECALL`; where all of them do not, the index is not kept.
    """
    faiss = faiss_module()
    assert faiss is not None
    start, rng = time.perf_counter(), np.random.default_rng(seed)
    count, dim = vectors.shape
    lists = max(1, min(int(2 * count**0.5), count // _TRAINING))
    # Drawn here: faiss would draw by itself, and copy all vectors to do so.
    drawn = np.sort(rng.choice(count, min(count, lists * _TRAINING), replace=False))
    parts = dim // 2 if dim % 2 == 0 else dim
    centres = faiss.IndexFlatIP(dim)
    index = faiss.IndexIVFPQFastScan(centres, dim, lists, parts, 4, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed = index.pq.cp.seed = seed
    index.train(vectors[drawn])
    for first in range(0, count, 65536):
        index.add(vectors[first : first + 65536])
    photos = vectors[rng.choice(count, min(PHOTO_QUERIES, count), replace=False)]
    kinds = [(each, _best_scores(vectors, each)) for each in (photos, texts) if len(each)]
    probes = min(8, lists)
    while True:
        matcher = ApproximateMatcher(vectors, index, probes)
        recall = min(recall_of(matcher, each, truth) for each, truth in kinds)
        if recall >= RECALL or probes == lists:
            break
        probes = min(2 * probes, lists)
    kept = matcher if recall >= RECALL else None
    return Built(kept, recall, lists, probes, time.perf_counter() - start)


def _best_scores(vectors: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Return (m, deepest) float32: each query's best scores over all vectors, best first."""
    deepest = min(DEPTHS[-1], len(vectors))
    parts = []
    for first in range(0, len(queries), 16):  # 16 rows of scores of a million are 64 MB
        scores = queries[first : first + 16] @ vectors.T
        top = np.partition(scores, scores.shape[1] - deepest, axis=1)[:, -deepest:]
        parts.append(-np.sort(-top, axis=1))
    return np.concatenate(parts)


def recall_of(matcher: ApproximateMatcher, queries: np.ndarray, truth: np.ndarray) -> float:
    """Return the lesser recall at `DEPTHS` over `queries`; `truth` holds their best scores.

    A hit counts when it scores as the last true one does: of equal photos either will do.
    """
    found = []
    for depth in DEPTHS:
        depth = min(depth, truth.shape[1])
        shares = [
            (matcher.best(query, depth)[1][:depth] >= best[depth - 1] - 1e-5).sum() / depth
            for query, best in zip(queries, truth, strict=True)
        ]
        found.append(float(np.mean(shares)))
    return min(found)
