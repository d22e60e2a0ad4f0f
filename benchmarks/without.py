"""Measures how much of a `--not` should be taken away from a query.

python benchmarks/without.py --model pretrained --manifest flickr8k.jsonl [--split val]

Pairs of short texts A and B are drawn from the captions of photos that the model was not trained
on, such that at least ten photos show both and at least ten show A and not B: by their captions, a
photo shows a text if its captions have all the words. Tells which share of the first ten hits for
"A, not B" show A and not B, for shares of B that are subtracted and with B projected out.
"""

import numpy as np
from relevance import parser_of

import pairlight
from pairlight.data.manifest import read_split
from pairlight.export.word_vectors import short_texts
from pairlight.runtime.word_vectors import encode_queries
from pairlight.search.query import NOT_WEIGHT

PAIRS, HITS, FEWEST = 96, 10, 10


def pairs_of(texts, right, rng):
    """Pairs of rows (A, B) of `right` (texts, photos) that overlap and differ enough, drawn."""
    both = right.astype(int) @ right.T.astype(int)
    only = right.sum(axis=1)[:, None] - both
    # Texts that share a word are no contrast.
    good = (both >= FEWEST) & (only >= FEWEST) & (right.sum(axis=1)[None] - both >= FEWEST)
    found = [
        (a, b)
        for a, b in np.argwhere(good)
        if not set(texts[a].split()) & set(texts[b].split()) - {"a", "the"}
    ]
    chosen = rng.choice(len(found), min(PAIRS, len(found)), replace=False)
    return [found[n] for n in chosen]


def main():
    parser = parser_of(__doc__)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    model = pairlight.load(args.model)
    photos, _ = read_split(args.manifest, args.split)
    images = model.encode_images([photo.image for photo in photos])
    short = short_texts([photo.captions for photo in photos])
    texts = [text for text, truth in short.items() if truth.sum() >= 2 * FEWEST]
    right = np.array([short[text] for text in texts])
    asked = encode_queries(model, texts)
    pairs = pairs_of(texts, right, np.random.default_rng(args.seed))
    print(
        f"{len(pairs)} pairs of {len(texts)} short texts, {len(photos)} photos; first {HITS} hits"
    )

    def share(query):
        kept = []
        for a, b in pairs:
            best = np.argsort(-(images @ query(asked[a], asked[b])))[:HITS]
            kept.append((right[a] & ~right[b])[best].mean())
        return f"{np.mean(kept):.1%}"

    print(f"B projected out: {share(lambda a, b: a - (a @ b) * b)}")
    for weight in (0, 0.25, 0.4, 0.5, 0.6, 0.75, 1):
        used = " (as it is)" if weight == NOT_WEIGHT else ""
        print(f"{weight} B subtracted{used}: {share(lambda a, b, w=weight: a - w * b)}")


if __name__ == "__main__":
    main()
