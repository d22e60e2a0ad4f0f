"""Measures time and peak memory of exact ranking against the full score matrix, as ratios.

python benchmarks/retrieval_memory.py                  # 20,000 images x 100,000 captions
python benchmarks/retrieval_memory.py --full           # 100,000 x 500,000: minutes
OMP_NUM_THREADS=1 python benchmarks/retrieval_memory.py --images 1000 --captions 5000
"""

import argparse
import resource
import sys
import time
from pathlib import Path

import numpy as np

from pairlight.metrics.retrieval import ranks, recall_at_k

CHUNK = 1024


def unit_rows(n, d, rng, near=None):
    """(n, d) float32 rows of unit length, filled in place; `near` are rows to lie close to."""
    rows = np.empty((n, d), np.float32)
    for start in range(0, n, CHUNK):
        block = rows[start : start + CHUNK]
        rng.standard_normal(dtype=np.float32, out=block)
        if near is not None:
            block += 3 * near(start, len(block))
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    return rows


def peak_bytes():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def resident_bytes():
    """What is held now; the peak so far where the system does not tell."""
    statm = Path("/proc/self/statm")
    return (
        int(statm.read_text().split()[1]) * resource.getpagesize()
        if statm.exists()
        else peak_bytes()
    )


def matmul_seconds(images, texts):
    """Time bare float32 products of some blocks, scaled to the whole matrix."""
    a, b = images[:CHUNK], texts[:CHUNK]
    a @ b.T
    repeats = 20
    start = time.perf_counter()
    for _ in range(repeats):
        a @ b.T
    spent = (time.perf_counter() - start) / repeats
    return spent * (len(images) / len(a)) * (len(texts) / len(b))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--captions", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--full", action="store_true", help="100,000 images, 500,000 captions")
    args = parser.parse_args()
    n, m = (100_000, 500_000) if args.full else (args.images, args.captions)
    rng = np.random.default_rng(0)
    images = unit_rows(n, args.dim, rng)
    owner = rng.permutation(np.arange(m) % n)
    texts = unit_rows(m, args.dim, rng, near=lambda at, size: images[owner[at : at + size]])
    bare = matmul_seconds(images, texts)
    before = resident_bytes()
    start = time.perf_counter()
    i2t, t2i = ranks(images, texts, owner, chunk=CHUNK)
    seconds = time.perf_counter() - start
    beyond, matrix = peak_bytes() - before, 4 * n * m
    print(f"{n:,} images x {m:,} captions, {args.dim} dimensions")
    print(f"R@1 i2t {recall_at_k(i2t, 1):.2f}, t2i {recall_at_k(t2i, 1):.2f}")
    print(
        f"memory beyond the inputs {beyond / 2**20:.0f} MiB; full matrix {matrix / 2**20:.0f} MiB"
    )
    print(f"  ratio {beyond / matrix:.4f}")
    print(f"time {seconds:.2f} s; bare float32 matrix product {bare:.2f} s")
    print(f"  ratio {seconds / bare:.2f}")


if __name__ == "__main__":
    main()
