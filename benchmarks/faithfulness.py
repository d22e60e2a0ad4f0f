"""Measures whether the regions that `pairlight explain` points at are those the score lives on.

python benchmarks/faithfulness.py                          # the bundled sample, `pretrained`
python benchmarks/faithfulness.py --model runs/small/checkpoints/best_model_256.pth --fill mean

Each photo of the bundled sample with its first caption. Cells are covered step by step, the most
important first, at random, and the least important first; the faster the cosine falls, the truer
the order (Petsiuk et al. 2018, RISE). Words likewise: the most important left out first.
"""

import argparse
import json
import sys
import time

import numpy as np

import pairlight
from pairlight.data.language import word_spans
from pairlight.errors import PairlightError
from pairlight.explain import FILLS, deletion_curve, explain_pair
from pairlight.hubs import as_queries
from pairlight.sample import sample_dir

STEPS = 10
DRAWS = 3


def word_curve(model, found, order, image):
    """Cosines as words are left out in `order`, none to all but one."""
    spans = word_spans(found.text)[: len(found.words)]
    texts = []
    for count in range(len(order)):
        gone = set(order[:count])
        kept = [found.text[a:b] for n, (a, b) in enumerate(spans) if n not in gone]
        texts.append(" ".join(kept))
    return as_queries(model, model.encode_texts(texts)) @ image


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="pretrained")
    parser.add_argument("--fill", default="blur", choices=FILLS)
    parser.add_argument("--grid", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    try:
        measure(args)
    except PairlightError as error:
        sys.exit(f"faithfulness.py: {error}")


def measure(args):
    model = pairlight.load(args.model)
    rng = np.random.default_rng(args.seed)
    records = json.loads((sample_dir() / "captions.json").read_text(encoding="utf-8"))
    regions = {"most important first": [], "at random": [], "least important first": []}
    words = {name: [] for name in regions}
    seconds = []
    for record in records:
        path, text = sample_dir() / "images" / record["file_name"], record["captions"][0]
        start = time.perf_counter()
        found = explain_pair(model, path, text, args.grid, args.fill)
        seconds.append(time.perf_counter() - start)
        image = model.encode_pixels(found.pixels[None])[0]
        for rows, drops in ((regions, found.regions.ravel()), (words, found.contributions)):

            def curve(order, rows=rows, found=found, image=image):
                if rows is words:
                    return float(word_curve(model, found, order, image).mean())
                return deletion_curve(model, found.pixels, found.vector, order, args.fill, STEPS)

            best = np.argsort(-drops, kind="stable")
            drawn = [curve(rng.permutation(len(drops))) for _ in range(DRAWS)]
            rows["most important first"].append(curve(best))
            rows["least important first"].append(curve(best[::-1]))
            rows["at random"].append(np.mean(drawn, axis=0))
    print(f"{args.model}, {len(records)} photos, {args.grid} x {args.grid} cells covered with "
          f"{args.fill}; {np.mean(seconds):.1f} s a photo")  # fmt: skip
    shares = [f"{share:.0%}" for share in np.linspace(0, 1, STEPS + 1)]
    print("| covered | " + " | ".join([*shares, "mean"]) + " |\n|" + " --- |" * (STEPS + 3))
    for name, curves in regions.items():
        middle = np.mean(curves, axis=0)
        cells = [f"{value:.3f}" for value in [*middle, middle.mean()]]
        print(f"| {name} | " + " | ".join(cells) + " |")
    told(regions, "regions", lambda curve: np.mean(curve))
    told(words, "words", float)


def told(rows, what, area):
    most, chance = ([area(curve) for curve in rows[name]]
                    for name in ("most important first", "at random"))  # fmt: skip
    least = [area(curve) for curve in rows["least important first"]]
    lower = sum(a < b for a, b in zip(most, chance, strict=True))
    print(f"{what}: mean cosine over the curve {np.mean(most):.3f} most important first, "
          f"{np.mean(chance):.3f} at random, {np.mean(least):.3f} least important first; "
          f"lower than at random for {lower} of {len(most)} photos")  # fmt: skip


if __name__ == "__main__":
    main()
