"""Measures search in a store of 100,000 photos: query time, memory, cold start, against numpy.

python benchmarks/search_speed.py --model pretrained       # with text encoding and cold starts
python benchmarks/search_speed.py --photos 1000000         # the store alone, random queries
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import pairlight
from pairlight.search.query import Query, query_vector
from pairlight.search.records import Batch, Facts, Fingerprint, Found, NewContent
from pairlight.search.searcher import Searcher
from pairlight.search.sqlite import SqliteStore

TEXTS = ["a dog on the beach", "two people riding horses", "a red car", "food on a table"]
COMMAND = "from pairlight.cli.main import main; main()"
MEMORY = """
import sys, re
import pairlight
from pairlight.search.query import Query
from pairlight.search.searcher import Searcher
from pairlight.search.store import open_store
class Stub: pass
def status(key):
    text = open("/proc/self/status").read()
    return int(re.search(key + r":\\s+(\\d+)", text)[1]) / 1024
with open_store(sys.argv[1]) as store:
    if len(sys.argv) > 2:
        model = pairlight.load(sys.argv[2])
        searcher = Searcher(store, model)
        for _ in range(20):
            searcher.search(Query("a dog on the beach"))
    else:
        import numpy as np
        model = Stub()
        vars(model).update(vars(store.model()))
        searcher = Searcher(store, model)
        query = np.ones(model.embed_dim, np.float32) / model.embed_dim**0.5
        for _ in range(20):
            searcher.search_vector(query, Query("none"))
print(status("VmRSS"), status("VmHWM"))
"""


class Stub:
    """Stands in for a model where none is given: its fingerprint only."""

    def __init__(self, dim):
        self.name, self.sha256, self.embed_dim, self.image_size = "none", "0" * 64, dim, 224


def fill(path, model, photos, rng):
    """Write a store of `photos` random unit vectors in a cloud, as embeddings are."""
    centre = rng.standard_normal(model.embed_dim)
    with SqliteStore(path, write=True) as store:
        number = store.add_model(Fingerprint.of(model))
        store.activate(number)
        for start in range(0, photos, 5000):
            count = min(5000, photos - start)
            vectors = rng.standard_normal((count, model.embed_dim)) + centre
            vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
            batch = Batch()
            for place, vector in enumerate(vectors, start):
                sha256, facts = place.to_bytes(32, "big"), Facts(4000, 3000, "2024-05-31T18:20:00")
                batch.contents.append(NewContent(sha256, facts, vector))
                name = f"/home/somebody/Pictures/{place // 500:04d}/IMG_{place:07d}.jpg"
                batch.photos.append((Found(name, 3_000_000, place), sha256))
            store.commit(number, batch)


def times(call, repeats):
    """Milliseconds of each of `repeats` calls; some before them warm everything up."""
    for place in range(5):
        call(place)
    found = []
    for place in range(repeats):
        start = time.perf_counter()
        call(place)
        found.append(1000 * (time.perf_counter() - start))
    return np.array(found)


def show(what, found):
    p50, p95 = np.percentile(found, [50, 95])
    print(f"{what:<42} p50 {p50:7.1f} ms   p95 {p95:7.1f} ms")
    return p50


def warm(store, model, repeats, with_text):
    start = time.perf_counter()
    searcher = Searcher(store, model)
    print(f"{'store to memory':<42}     {1000 * (time.perf_counter() - start):7.1f} ms")
    rng = np.random.default_rng(1)
    queries = rng.standard_normal((repeats, model.embed_dim)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    if with_text:
        whole = times(lambda n: searcher.search(Query(TEXTS[n % len(TEXTS)])), repeats)
        show("query in words, whole", whole)
        show("  of it text encoding", times(
            lambda n: query_vector(model, Query(TEXTS[n % len(TEXTS)])), repeats))  # fmt: skip
    ours = show("query by vector", times(
        lambda n: searcher.search_vector(queries[n], Query("none")), repeats))  # fmt: skip
    ids, matrix = store.vectors()
    peer = show("numpy: product, full sort (scores only)", times(
        lambda n: np.argsort(-(matrix @ queries[n]), kind="stable")[:10], repeats))  # fmt: skip
    bare = show("numpy: product alone", times(lambda n: matrix @ queries[n], repeats))
    print(f"ratio to numpy's full sort {ours / peer:.2f}, to the product alone {ours / bare:.2f}")


def cold(path, model, repeats=5):
    words = [sys.executable, "-c", COMMAND, "search", TEXTS[0], "--store", str(path)]
    found = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        subprocess.run([*words, "--model", model, "--json", "-"], check=True, capture_output=True)
        found.append(1000 * (time.perf_counter() - start))
    show("cold: one `pairlight search`, whole", np.array(found[1:]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=256, help="without --model")
    parser.add_argument("--model", help="pretrained, or where one is; else random queries only")
    parser.add_argument("--repeats", type=int, default=100)
    args = parser.parse_args()
    model = pairlight.load(args.model) if args.model else Stub(args.dim)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photos.db"
        fill(path, model, args.photos, np.random.default_rng(0))
        size = path.stat().st_size / 2**20
        print(f"{args.photos:,} photos x {model.embed_dim}; store {size:.0f} MiB")
        with SqliteStore(path) as store:
            warm(store, model, args.repeats, bool(args.model))
        words = [sys.executable, "-c", MEMORY, str(path), *([args.model] if args.model else [])]
        held = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
        print(f"memory of a process that searches          {float(held[0]):.0f} MiB "
              f"(at most {float(held[1]):.0f})")  # fmt: skip
        if args.model:
            cold(path, args.model)


if __name__ == "__main__":
    main()
