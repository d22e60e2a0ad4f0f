"""Measures what word vectors do for short texts, and that they leave whole captions alone.

python benchmarks/short_queries.py --model pretrained --manifest flickr8k.jsonl [--split val]

Asks for photos that the model was not trained on with short pieces of their captions ("a brown
dog"), with everyday queries, and with the captions, with and without the model's word vectors
(runtime/word_vectors.py) and with other weights of them. A photo is right for a short text whose
words are all in its captions. Short pieces are asked that at least three photos show.
"""

import numpy as np
from relevance import lines, parser_of

import pairlight
from pairlight.data.manifest import read_split
from pairlight.export.word_vectors import (
    mean_average_precision,
    short_texts,
    showing,
    words_shown,
)
from pairlight.hubs import as_queries
from pairlight.metrics.retrieval import ranks, summary
from pairlight.runtime import word_vectors


def row(name, images, asked, own):
    """One line of the table: `asked` are queries and right photos, `own` caption queries."""
    parts = []
    for vectors, right in asked:
        scores = vectors @ images.T
        first = np.mean([truth[best] for truth, best in zip(right, scores.argmax(1), strict=True)])
        parts.append(f"{mean_average_precision(scores, right):.3f} | {100 * first:.1f}")
    vectors, owner = own
    found = summary(ranks(images, vectors, owner)[1])
    parts += [f"{found[f'R@{k}']:.1f}" for k in (1, 5, 10)]
    return f"| {name} | {' | '.join(parts)} |"


def main():
    parser = parser_of(__doc__)
    args = parser.parse_args()
    model = pairlight.load(args.model)
    if getattr(model, "word_vectors", None) is None:
        raise SystemExit(f"short_queries.py: {args.model} has no word vectors")
    photos, _ = read_split(args.manifest, args.split)
    own = [photo.captions for photo in photos]
    images = model.encode_images([photo.image for photo in photos])
    pieces = short_texts(own)
    shown = words_shown(own)
    everyday = {text: showing(text, shown) for text in lines("everyday_queries.txt")}
    captions = [text for each in own for text in each]
    owner = np.repeat(np.arange(len(own)), [len(each) for each in own])
    plain = {texts: as_queries(model, model.encode_texts(word_vectors.query_texts(texts)))
             for texts in (tuple(pieces), tuple(everyday), tuple(captions))}  # fmt: skip
    print(f"{len(pieces)} pieces, {len(everyday)} everyday queries, {len(captions)} captions, "
          f"{len(photos)} photos; {len(model.word_vectors.words)} words")  # fmt: skip
    heads = "weight", "pieces mAP", "first right", "everyday mAP", "first right"
    print("|", " | ".join([*heads, "captions R@1", "R@5", "R@10"]), "|\n" + "| --- " * 8 + "|")
    used = word_vectors.WEIGHT
    for weight in (0, 1, 2, 3, 4, 8):
        word_vectors.WEIGHT = weight
        asked = {texts: model.word_vectors.added(texts, found) for texts, found in plain.items()}
        short = [(asked[tuple(each)], list(each.values())) for each in (pieces, everyday)]
        name = f"**{weight}**" if weight == used else str(weight)
        print(row(name, images, short, (asked[tuple(captions)], owner)), flush=True)


if __name__ == "__main__":
    main()
