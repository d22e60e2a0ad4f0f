"""Measures how often search finds what is not there, and keeps what is: false alarms, reliability.

python benchmarks/relevance.py --model pretrained --manifest flickr8k.jsonl --split val
python benchmarks/relevance.py --model DIR --manifest photos.jsonl --out calibration.json
python benchmarks/relevance.py --model DIR        # with the calibration that the model carries

With a manifest of captioned photos that the model was not trained on, a calibration is fitted on
half of them and its reliability measured on the other half; the one that is used and written to
--out is fitted on all. How well the model knows words is counted in the captions of the manifest's
train split. False alarms are counted on the bundled sample photos.
"""

import argparse
import json
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

import pairlight
from pairlight.data.manifest import read_manifest, read_split
from pairlight.errors import PairlightError
from pairlight.runtime.word_vectors import encode_queries
from pairlight.sample import sample_dir
from pairlight.search.calibration import Calibration, expected_calibration_error, reliability
from pairlight.search.index import index_photos
from pairlight.search.matcher import spread_of
from pairlight.search.query import Query
from pairlight.search.relevance import coverage, examples, fit_calibration, with_pieces
from pairlight.search.searcher import Searcher
from pairlight.search.store import open_store
from pairlight.search.vocabulary import Vocabulary
from pairlight.words import content_words, shown_words

HERE = Path(__file__).parent
HITS = 10
COLLECTION = 35  # as many as the sample has


def lines(name):
    text = (HERE / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def present_queries():
    """Short phrases and full captions, each with the names of the photos it is right for."""
    short = []
    for line in lines("present_concepts.tsv"):
        text, ends = line.split("\t")
        short.append((text, tuple(f"000000{end}.jpg" for end in ends.split())))
    photos = json.loads((sample_dir() / "captions.json").read_text(encoding="utf-8"))
    full = [(text, (each["file_name"],)) for each in photos for text in each["captions"]]
    return {"short phrases": short, "captions": full}


def embed(model, manifest, split):
    """Embeddings of images and captions, each caption's owner, the captions."""
    photos, split = read_split(manifest, split)
    images = model.encode_images([photo.image for photo in photos])
    captions = [text for photo in photos for text in photo.captions]
    owner = np.repeat(np.arange(len(photos)), [len(photo.captions) for photo in photos])
    print(f"{len(photos)} photos with {len(captions)} captions of {split}")
    return images, encode_queries(model, captions), owner, captions


def extended(held, model, seed):
    """The same with a short piece of each caption added to the captions, as for a calibration."""
    images, texts, owner, captions = held
    encode = partial(encode_queries, model)
    return images, *with_pieces(texts, owner, captions, encode, seed)


def part(held, chosen):
    """The part of embedded photos that `chosen` (n,) bool marks, with its captions."""
    images, texts, owner, captions = held
    rows = np.flatnonzero(chosen[owner])
    place = np.cumsum(chosen) - 1
    return images[chosen], texts[rows], place[owner[rows]], [captions[row] for row in rows]


def learnt_words(manifest, split, path, model):
    """The vocabulary of a manifest's training captions, empty if these are the ones measured on.

    The model of `path` may have learnt names of classes beside them: an exported one has counted
    them, those of a checkpoint count as an export counts them.
    """
    if split == "train":
        return Vocabulary()
    carried = Calibration.of(model)
    if carried is not None and carried.vocabulary.counts:
        return carried.vocabulary
    photos = [photo for photo in read_manifest(manifest) if photo.split == "train"]
    if Path(path).is_file():
        from pairlight.export.run import texts_learnt  # needs torch, which exported models do not
        from pairlight.models.checkpoint import read_checkpoint

        return Vocabulary.of(texts_learnt(photos, read_checkpoint(Path(path))))
    return Vocabulary.of(text for photo in photos for text in photo.captions)


def among_others_like_them(half, held, seed):
    """Print alarms and kept hits of captions in collections of photos like those fitted on."""
    images, texts, owner, captions = held
    cover, rng = coverage(captions, owner, len(images)), np.random.default_rng(seed)
    best = {"absent": [], "present": []}
    for _ in range(30):
        chosen = rng.choice(len(images), COLLECTION, replace=False)
        for query in rng.choice(len(texts), 400, replace=False):
            there = owner[query] in chosen
            if not there and cover[query, chosen].max() >= 0.5:
                continue  # it may fit a photo here
            scores = images[chosen] @ texts[query]
            if there and chosen[scores.argmax()] != owner[query]:
                continue
            top = half.relevance(scores.max(keepdims=True), spread_of(scores), captions[query])
            best["present" if there else "absent"].append(top[0])
    alarms, kept = (np.mean(np.array(each) >= half.cutoff) for each in best.values())
    print(f"  in collections of {COLLECTION} of them, cutoff {half.cutoff}: {alarms:.1%} of")
    print(f"  texts that fit none find something, {kept:.1%} of right first hits are kept")


def everyday(half, held, model):
    """Print how queries fare that many of the photos fit: those whose captions have all words."""
    images, _, owner, captions = held
    shown = [set() for _ in images]
    for row, text in zip(owner, captions, strict=True):
        shown[row] |= shown_words(text)
    queries = lines("everyday_queries.txt")
    scores = encode_queries(model, queries) @ images.T
    asked = zip(scores, queries, strict=True)
    found = np.stack([half.relevance(row, spread_of(row), text) for row, text in asked])
    kept = found >= half.cutoff
    right = np.array([[content_words(text) <= words for words in shown] for text in queries])
    top = np.arange(len(queries))[:, None], np.argsort(-scores, axis=1)[:, :HITS]
    first, first_kept = right[top][:, 0], kept[top][:, 0]
    print(f"  {len(queries)} everyday queries among {len(images)} of them: the first is right for")
    print(
        f"  {first.sum()}, {first_kept[first].sum()} of these are kept; of {HITS} hits each "
        f"{found[top].mean():.0%} are promised to be right, {right[top].mean():.0%} are, and "
        f"{kept[top][right[top]].mean():.0%} of these are kept;\n  of all "
        f"{right.sum()} that are right {kept[right].mean():.0%} are kept, of all {kept.sum()} that "
        f"are kept {right[kept].mean():.0%} are right"
    )


def fitted(held, seed, vocabulary, model):
    """The calibration of all photos, and what one of half of them promised about the rest."""
    first = np.random.default_rng(seed).random(len(held[0])) < 0.5
    half = fit_calibration(*part(held, first), seed=seed, vocabulary=vocabulary)
    rng = np.random.default_rng(seed + 1)
    found, right = examples(*part(held, ~first), rng, vocabulary=vocabulary)
    promised = half.predict(found)
    print(f"reliability on {len(right)} hits of photos left out, {right.mean():.1%} of them right:")
    print(f"  expected calibration error {expected_calibration_error(promised, right):.4f}")
    among_others_like_them(half, part(held, ~first), seed)
    everyday(half, part(held, ~first), model)
    whole = fit_calibration(*held, seed=seed, vocabulary=vocabulary)
    return whole, reliability(promised, right)


def draw(bins, path):
    """Draw the reliability diagram: promised against true share, how many hits a bin holds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (top, low) = plt.subplots(
        2, 1, figsize=(5, 6), height_ratios=[4, 1], sharex=True, layout="constrained"
    )
    share = [each.right for each in bins]
    error = [1.96 * (s * (1 - s) / each.count) ** 0.5 for s, each in zip(share, bins, strict=True)]
    top.plot([0, 1], [0, 1], "--", color="grey", label="as promised")
    top.errorbar([each.promised for each in bins], share, error, fmt="o-", capsize=3,
                 label="measured, 95 %")  # fmt: skip
    top.set(ylabel="share of hits that are right", ylim=(0, 1), xlim=(0, 1),
            title="Relevance: promised and measured")  # fmt: skip
    top.legend()
    low.bar([(each.low + each.high) / 2 for each in bins], [each.count for each in bins], 0.09)
    low.set(xlabel="relevance", ylabel="hits", yscale="log")
    figure.savefig(path, dpi=120)
    print(f"wrote {path}")


def false_alarms(searcher, cutoff):
    absent = lines("absent_concepts.txt")
    alarms = [text for text in absent if searcher.search(Query(text)).hits]
    print(f"absent concepts that find something (cutoff {cutoff}): {len(alarms)} of {len(absent)}, "
          f"{len(alarms) / len(absent):.1%}; goal: at most 5 %")  # fmt: skip
    for text in alarms:
        best = searcher.search(Query(text)).hits[0]
        print(f"    {best.relevance:.2f} {text}: {Path(best.photo.path).name}")
    return len(alarms) / len(absent)


def sweep(searcher):
    """Print what each cutoff would let through and keep, of first hits."""
    best = {"absent": [searcher.search(Query(text)).best for text in lines("absent_concepts.txt")]}
    for what, queries in present_queries().items():
        best[what], promised = [], []
        for text, names in queries:
            (hit,) = searcher.search(Query(text, k=1, cut=False, fold=False)).hits
            promised.append(hit.relevance)
            if Path(hit.photo.path).name in names:
                best[what].append(hit.relevance)
        right = len(best[what]) / len(queries) / 2
        both = (np.mean(best["absent"]) + np.mean(promised)) / 2
        print(f"first hits for {what} and absent concepts, half and half: "
              f"{both:.1%} promised to be right, {right:.1%} are")  # fmt: skip
    print("cutoff, absent concepts that find something, right first hits kept")
    for cutoff in np.arange(20, 75, 5) / 100:
        shares = [f"{what} {np.mean(np.array(each) >= cutoff):.1%}" for what, each in best.items()]
        print(f"    {cutoff:.2f}  {', '.join(shares)}")


def kept(searcher, queries, what):
    """Print how many queries find their photo, first or among the hits, with and without cutoff."""

    def found(query, cut, count):
        hits = searcher.search(Query(query[0], k=count, cut=cut, fold=False)).hits
        return any(Path(hit.photo.path).name in query[1] for hit in hits)

    result = {}
    for count in (1, HITS):
        before = [query for query in queries if found(query, False, count)]
        after = [query for query in before if found(query, True, count)]
        result[count] = len(after) / max(len(before), 1)
        print(f"{what}: right photo among the first {count} for {len(before)} of {len(queries)} "
              f"({len(before) / len(queries):.0%}); the cutoff keeps {result[count]:.0%} of these, "
              f"{len(after) / len(queries):.0%} of all; goal: keep 80 %")  # fmt: skip
    return result


def parser_of(doc, manifest_required=True):
    """A parser of the options that benchmarks of a model on a manifest's split share."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--model", default="pretrained")
    parser.add_argument("--manifest", type=Path, required=manifest_required,
                        help="captioned photos, in English")  # fmt: skip
    parser.add_argument("--split", default="val")
    return parser


def main():
    parser = parser_of(__doc__, manifest_required=False)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--looks", type=int, default=1, help="looks at each photo, 1 to 3")
    parser.add_argument("--blind", action="store_true", help="fit without counts of words")
    parser.add_argument("--out", type=Path, help="write the calibration here, as JSON")
    parser.add_argument("--diagram", type=Path, default=Path("reliability.png"))
    args = parser.parse_args()
    try:
        measure(args)
    except PairlightError as error:
        sys.exit(f"relevance.py: {error}")


def measure(args):
    model = pairlight.load(args.model, looks=args.looks)
    calibration = Calibration.of(model)
    if args.manifest:
        held = extended(embed(model, args.manifest, args.split), model, args.seed)
        known = args.manifest, args.split, args.model, model
        words = Vocabulary() if args.blind else learnt_words(*known)
        calibration, bins = fitted(held, args.seed, words, model)
        draw(bins, args.diagram)
    if calibration is None:
        sys.exit("relevance.py: the model has no calibration; fit one with --manifest")
    told = calibration.to_dict()
    told["words"] = f"counts of {len(calibration.vocabulary.counts)} words"
    print("calibration:", json.dumps(told))
    if args.out:
        args.out.write_text(json.dumps(calibration.to_dict(), indent=2) + "\n", encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        with open_store(f"{folder}/sample.db", write=True) as store:
            index_photos(store, model, [str(sample_dir() / "images")])
            searcher = Searcher(store, model, calibration)
            sweep(searcher)
            false_alarms(searcher, calibration.cutoff)
            for what, queries in present_queries().items():
                kept(searcher, queries, what)


if __name__ == "__main__":
    main()
