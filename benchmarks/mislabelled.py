"""Measures how well `pairlight doctor` ranks captions that were put on wrong photos on purpose.

python benchmarks/mislabelled.py --manifest flickr8k.jsonl --combinations
python benchmarks/mislabelled.py --manifest flickr8k.jsonl --model pretrained --split val
python benchmarks/mislabelled.py --manifest flickr8k.jsonl --model frozen --list 30

Planting: --plant photos are drawn by the seed, and of each one caption; each of these captions is
moved to the next photo drawn. So each photo keeps its number of captions, and just that many
captions stand on a wrong photo. What is counted is how many of them are among the first ranked.
--list shows what ranks worst without anything planted, to be judged by eye.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from pairlight.data.manifest import read_manifest, read_split
from pairlight.doctor.features import features, open_encoder
from pairlight.doctor.mapping import unit
from pairlight.doctor.mismatch import SURE, Judge, better_photos, doubts, gather
from pairlight.doctor.whole import photo_doubts
from pairlight.errors import PairlightError

FIRST = (50, 100, 200, 500)
# Which signals speak, by the beginnings of their names.
COMBINATIONS = {
    "one cosine, compared with the caption's others": ("model.caption",),
    "its linear twin: a map fitted on the other folds": ("map.caption",),
    "all of the model": ("model.",),
    "all of the map": ("map.",),
    "sibling captions alone": ("words.",),
    "model + siblings": ("model.", "words."),
    "map + siblings": ("map.", "words."),
    "all": ("",),
}


def plant(owner, photos, count, rng):
    """Return owners with `count` captions moved to a wrong photo, and which captions these are."""
    chosen = rng.choice(photos, count, replace=False)
    captions = np.array([rng.choice(np.flatnonzero(owner == photo)) for photo in chosen])
    moved = owner.copy()
    moved[captions] = np.roll(chosen, 1)
    return moved, captions


def recalls(doubt, captions):
    order = np.argsort(-doubt, kind="stable")
    return [len(np.intersect1d(order[:first], captions)) for first in FIRST]


def measure(found, owner, args):
    images, texts = unit(found.images), unit(found.texts)
    results = {name: [] for name in COMBINATIONS}
    for seed in range(args.seeds):
        rng = np.random.default_rng(seed)
        moved, captions = plant(owner, len(images), args.plant, rng)
        start = time.perf_counter()
        judge = Judge(images, texts, moved, found.shared, np.random.default_rng(seed))
        evidence = gather(judge)
        for name, ends in COMBINATIONS.items():
            columns = [n for n, each in enumerate(judge.names()) if each.startswith(ends)]
            if not columns or (name != "all" and not args.combinations):
                continue
            doubt = doubts(evidence, columns)
            listed = doubt >= SURE
            results[name].append([*recalls(doubt, captions), listed.sum(), listed[captions].sum()])
        print(f"seed {seed}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    heads = [f"first {n}" for n in FIRST] + ["findings", "of them planted"]
    print(f"{args.plant} planted among {len(owner)} captions; mean of {args.seeds} seeds (least)")
    print("| signals | " + " | ".join(heads) + " |\n|" + " --- |" * (len(heads) + 1))
    for name, rows in results.items():
        if rows:
            cells = [f"{np.mean(c):.1f} ({min(c)})" for c in zip(*rows, strict=True)]
            print(f"| {name} | " + " | ".join(cells) + " |")


def exchange(found, owner, args):
    """Exchange all captions of pairs of photos; print how many of these photos come first."""
    images, texts = unit(found.images), unit(found.texts)
    rows = []
    for seed in range(args.seeds):
        rng = np.random.default_rng([seed, 1])
        chosen = rng.choice(len(images), args.plant, replace=False)
        to = np.arange(len(images))
        to[chosen] = chosen.reshape(2, -1)[::-1].ravel()
        judge = Judge(images, texts, to[owner], found.shared, np.random.default_rng(seed))
        doubt = photo_doubts(judge)
        listed = doubt >= SURE
        rows.append([*recalls(doubt, chosen), listed.sum(), listed[chosen].sum()])
    cells = [f"{np.mean(c):.1f} ({min(c)})" for c in zip(*rows, strict=True)]
    print(f"{args.plant} of {len(images)} photos exchanged by pairs: {' | '.join(cells)}")
    doubt = photo_doubts(Judge(images, texts, owner, found.shared, np.random.default_rng(0)))
    print(f"none exchanged: {(doubt >= SURE).sum()} findings")


def show_worst(found, owner, photos, captions, count):
    judge = Judge(unit(found.images), unit(found.texts), owner, found.shared,
                  np.random.default_rng(0))  # fmt: skip
    doubt = doubts(gather(judge))
    order = np.argsort(-doubt, kind="stable")[:count]
    print(f"nothing planted: {(doubt >= SURE).sum()} findings; the {count} worst:")
    for n, own, best, score in zip(order, *better_photos(judge, order), strict=True):
        mine, better = photos[owner[n]], photos[best]
        print(f"{doubt[n]:5.2f}  {mine.image_id} ({own:.1f})  {captions[n]}"
              f"  -> {better.image_id} ({score:.1f})")  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--split", default="all")
    parser.add_argument("--model", default="pretrained")
    parser.add_argument("--plant", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--combinations", action="store_true", help="also parts of the signals")
    parser.add_argument("--list", type=int, default=0, help="show the worst of the real captions")
    parser.add_argument("--cache", type=Path, default=Path("doctor/cache"))
    args = parser.parse_args()
    try:
        every = read_manifest(args.manifest)
        photos = every if args.split == "all" else read_split(args.manifest, args.split)[0]
        files = [(row, photo.image, photo.sha256) for row, photo in enumerate(photos)]
        captions = [text for photo in photos for text in photo.captions]
        found = features(open_encoder(args.model), files, captions, args.cache)
    except PairlightError as error:
        sys.exit(f"mislabelled.py: {error}")
    if len(found.rows) != len(photos):
        sys.exit("mislabelled.py: some photos cannot be read; run `pairlight doctor --fix` first")
    owner = np.repeat(np.arange(len(photos)), [len(photo.captions) for photo in photos])
    print(f"{args.model}: {len(photos)} photos of {args.split}")
    measure(found, owner, args)
    exchange(found, owner, args)
    if args.list:
        show_worst(found, owner, photos, captions, args.list)


if __name__ == "__main__":
    main()
