"""Varies the correction of hubs: size of the bank, prototypes, temperature, one side alone.

    python benchmarks/hubs.py --manifest flickr8k.jsonl --model CHECKPOINT --out hubs

The model is a checkpoint, whose own correction is put aside, or an exported folder without one.
Its embeddings of train and val are kept in OUT, so that a second run takes a minute. Fits to train,
measures on val, writes OUT/table.md.
"""

import argparse
from pathlib import Path

import numpy as np

from pairlight.data.manifest import read_split
from pairlight.embed import Encoder, Model, embed_photos, load_model
from pairlight.output import Output
from pairlight.train.hubs import corrected, fit_hubs
from pairlight.train.validate import scores
from pairlight.types import Embeddings

ARRAYS = ("images", "texts", "owner")


def embedded(model: Encoder, manifest: Path, split: str, out: Path, output: Output) -> Embeddings:
    path = out / f"{split}_{model.sha256[:12]}.npz"
    if not path.exists():
        photos = [photo for photo in read_split(manifest, split)[0] if photo.captions]
        found = embed_photos(model, photos, output.track)
        np.savez(path, **{name: getattr(found, name) for name in ARRAYS})
    with np.load(path, allow_pickle=False) as held:
        return Embeddings(*(held[name] for name in ARRAYS))


def part(bank: Embeddings, count: int, rng: np.random.Generator) -> Embeddings:
    """Return `count` of the bank's images, drawn by chance, with their texts."""
    rows = np.sort(rng.permutation(len(bank.images))[:count])
    mine = np.isin(bank.owner, rows)
    owner = np.searchsorted(rows, bank.owner[mine])
    return Embeddings(bank.images[rows], bank.texts[mine], owner)


def one_side(plain: Embeddings, both: Embeddings, side: str) -> Embeddings:
    """Return embeddings of which the other side is turned by nothing, however much of a hub."""
    images, texts = both.images.copy(), both.texts.copy()
    still = texts if side == "images" else images
    length = np.linalg.norm(still[:, -2:], axis=1).mean()
    still[:, -2:] = length * np.sqrt(0.5) * np.array([1, -1 if side == "images" else 1])
    return Embeddings(images, texts, plain.owner)


def rows(bank: Embeddings, val: Embeddings, scale: float) -> list[tuple[str, dict]]:
    rng = np.random.default_rng(0)

    def run(some: Embeddings = bank, times: float = 1.0, count: int = 1024) -> Embeddings:
        return corrected(fit_hubs(some, val, times / scale, count, 0), val)

    whole = run()
    all_of_it = f"**{len(bank.images):,} photos, 1,024 prototypes**"
    found = [("no correction", val), (all_of_it, whole)]
    for side in ("images", "texts"):
        found.append((f"{side} alone corrected", one_side(val, whole, side)))
    for size in (500, 1000, 2000, 4000):
        found.append((f"{size:,} photos", run(part(bank, size, rng))))
    for count in (64, 256, 512, 2048):
        found.append((f"{count:,} prototypes", run(count=count)))
    for times in (0.5, 0.75, 1.5, 2.0):
        found.append((f"{times:g} times the temperature", run(times=times)))
    return [(name, scores(each, scale)) for name, each in found]


def write_table(out: Path, what: str, found: list[tuple[str, dict]]) -> None:
    """Write names of `what` and their scores to OUT/table.md, and print them."""
    lines = [
        f"| {what} | i2t R@1 | R@5 | R@10 | t2i R@1 | R@5 | R@10 | rsum |",
        "| --- " * 8 + "|",
    ]
    for name, val in found:
        recalls = [val[way][f"R@{k}"] for way in ("i2t", "t2i") for k in (1, 5, 10)]
        lines.append(
            f"| {name} | " + " | ".join(f"{n:.1f}" for n in [*recalls, val["rsum"]]) + " |"
        )
    text = "\n".join(lines) + "\n"
    (out / "table.md").write_text(text)
    print(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    output, model = Output(), load_model(options.model)
    if isinstance(model, Model):
        model.dual.forget_hubs()
    splits = [
        embedded(model, options.manifest, name, options.out, output) for name in ("train", "val")
    ]
    write_table(options.out, "correction", rows(*splits, model.logit_scale))


if __name__ == "__main__":
    main()
