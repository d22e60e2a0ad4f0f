"""Measures the FAISS index at a million vectors: recall@10, time and memory, against exact BLAS.

python benchmarks/faiss_recall.py                        # 1,000,000 x 256, about 3 GB of memory
python benchmarks/faiss_recall.py --photos 100000 --queries 100

Vectors are made up, seeded, after those of `pretrained` on Flickr8k: photos in clusters of uneven
size, with an effective dimension of 37, and texts that have a cosine of 0.6 with a photo. Queries
that are measured here had no part in choosing how many lists are looked at.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from pairlight.search.approximate import build, faiss_module
from pairlight.search.approximate_file import key_of, load, save
from pairlight.search.matcher import ExactMatcher
from pairlight.search.records import Fingerprint
from pairlight.search.store import Moment

CLUSTERS = 5000
SPREAD = 18.5  # How variance falls off over directions: an effective dimension of 37, as measured.
CHUNK = 50_000
DEPTH = 10


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class Cloud:
    """Unit vectors (n, dim) float32 with most of their variance in a few directions."""

    def __init__(self, dim, rng):
        self.rng = rng
        falling = np.exp(-np.arange(dim) / (2 * SPREAD))
        turned = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
        self.shape = (falling[:, None] * turned).astype(np.float32)

    def draw(self, count):
        """Rows (count, dim) of it."""
        return unit(self.rng.standard_normal((count, len(self.shape)), np.float32) @ self.shape)


def make_photos(count, cloud):
    """(count, dim) float32 unit rows in clusters, some large and many small."""
    centres = cloud.draw(CLUSTERS)
    share = 1 / np.arange(1, CLUSTERS + 1) ** 0.7
    vectors = np.empty((count, centres.shape[1]), np.float32)
    for start in range(0, count, CHUNK):
        size = min(CHUNK, count - start)
        kind = cloud.rng.choice(CLUSTERS, size, p=share / share.sum())
        vectors[start : start + size] = unit(0.6 * centres[kind] + 0.8 * cloud.draw(size))
    return vectors


def near(vectors, count, cosine, cloud):
    """(count, dim) unit rows that each have about this cosine with a vector drawn."""
    drawn = vectors[cloud.rng.choice(len(vectors), count)]
    return unit(cosine * drawn + (1 - cosine**2) ** 0.5 * cloud.draw(count)).astype(np.float32)


def resident():
    """MiB that this process holds now; the most so far where the system does not tell."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def timed(matcher, queries):
    """Milliseconds of each query, and the scores found."""
    for query in queries[:5]:
        matcher.best(query, DEPTH)
    spent, scores = [], []
    for query in queries:
        start = time.perf_counter()
        scores.append(matcher.best(query, DEPTH)[1][:DEPTH])
        spent.append(1000 * (time.perf_counter() - start))
    return np.array(spent), np.array(scores)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--queries", type=int, default=200, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if faiss_module() is None:
        parser.error("faiss is not installed; pip install 'pairlight[faiss]'")
    rng = np.random.default_rng(args.seed)
    cloud = Cloud(args.dim, rng)
    vectors = make_photos(args.photos, cloud)
    tried = near(vectors, 175, 0.6, cloud)
    kinds = {"texts": near(vectors, args.queries, 0.6, cloud),
             "other photos": near(vectors, args.queries, 0.85, cloud)}  # fmt: skip
    built = build(vectors, tried, args.seed)
    print(f"{args.photos:,} x {args.dim}: {built.line()}")
    print(f"{built.lists} lists, {built.probes} looked at")
    if built.matcher is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        model = Fingerprint("none", "0" * 64, args.dim, 224)
        moment = Moment(model, 1, np.arange(args.photos), vectors)
        path, key = Path(folder) / "photos.db-faiss", key_of(moment)
        save(path, built.matcher, key)
        size = path.stat().st_size / 2**20
        before = resident()  # The one that was built stays, so that its room is not used again.
        start = time.perf_counter()
        matcher = load(path, moment)
        seconds = time.perf_counter() - start
    print(f"file {size:.0f} MiB, opened in {seconds:.2f} s; it takes {resident() - before:.0f} MiB "
          f"beyond the {vectors.nbytes / 2**20:.0f} MiB of vectors")  # fmt: skip
    exact = ExactMatcher(vectors)
    for what, queries in kinds.items():
        ours, found = timed(matcher, queries)
        theirs, best = timed(exact, queries)
        recall = (found >= best[:, -1:] - 1e-6).sum() / best.size
        print(f"{what}: recall@{DEPTH} {recall:.4f}; p50 {np.median(ours):.1f} ms (p95 "
              f"{np.percentile(ours, 95):.1f}), exact {np.median(theirs):.1f} ms: "
              f"{np.median(theirs) / np.median(ours):.1f} times as fast")  # fmt: skip


if __name__ == "__main__":
    main()
