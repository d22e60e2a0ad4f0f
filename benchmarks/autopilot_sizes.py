"""Compares `--recipe auto` with recipes picked by hand, on small subsets of a data set.

    python benchmarks/autopilot_sizes.py --manifest flickr8k.jsonl --out sizes [--sizes 200,1000]

For each size N it draws N photos of train by seed, a tenth of them (at least 20) to be the val
split that chooses epochs and that the autopilot judges by. All recipes then meet the same unseen
photos: val of --manifest. Writes OUT/results.jsonl, a line a run, and OUT/table.md; what is done is
not repeated.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from pairlight.data.manifest import read_records, write_records

TUNE = "{{name: tune, epochs: {epochs}, image_blocks: {blocks}, text_layers: {layers}, views: 4, "
TUNE += "batch_size: {batch}, lr: 3e-4, image_lr: 3e-4, text_lr: 1.5e-4, min_lr: 1}}"
HEADS = "{{name: heads, epochs: {epochs}, batch_size: {batch}, lr: 1e-3}}"


def by_hand(count: int) -> dict[str, list[str]]:
    """Return recipes a careful person would try on `count` photos, by name."""
    batch, long = (32, 30) if count < 500 else (64, 16) if count < 3000 else (128, 12)
    heads = HEADS.format(epochs=40 if count < 3000 else 12, batch=min(512, 4 * batch))
    some = TUNE.format(epochs=long, blocks=1, layers=1, batch=batch)
    late = TUNE.format(epochs=long, blocks=3, layers=3, batch=batch)
    deep = TUNE.format(epochs=long, blocks=4, layers=6, batch=batch)
    return {
        "`small` as it is": [],
        "heads alone": [f"stages=[{heads}]"],
        "heads alone, no names of classes": [f"stages=[{heads}]", "train.class_names=0"],
        "one block, one layer": [f"stages=[{heads}, {some}]"],
        "three blocks, three layers": [f"stages=[{heads}, {late}]"],
        "four blocks, six layers": [f"stages=[{heads}, {deep}]"],
    }


def subset(manifest: Path, count: int, out: Path, seed: int) -> Path:
    """Write a manifest of `count` photos of train, some of them as val; return its path."""
    path = out / f"{count}.jsonl"
    if path.exists():
        return path
    photos = {photo.image_id: photo.image for photo, _ in read_records(manifest)}
    records = [raw for _, raw in read_records(manifest) if raw.get("split") == "train"]
    order = np.random.default_rng(seed).permutation(len(records))[:count]
    judges = max(20, count // 10)
    chosen = []
    for place, row in enumerate(order):
        raw = records[row] | {"split": "val" if place < judges else "train"}
        chosen.append(raw | {"image": str(photos[raw["image_id"]])})
    write_records(path, chosen)
    return path


def pairlight(*words: str) -> None:
    """Run a command of pairlight; stop with its message if it fails."""
    done = subprocess.run([sys.executable, "-m", "pairlight", *words], capture_output=True)
    if done.returncode:
        raise SystemExit(done.stderr.decode())


def measure(name: str, sets: list[str], data: Path, args: argparse.Namespace, count: int) -> dict:
    """Train one recipe on `data` and score its best epoch on the unseen photos."""
    out = args.out / f"{count}_{''.join(c for c in name if c.isalnum())}"
    recipe = "auto" if name == "auto" else "small"
    changes = [word for each in [*sets, *args.set] for word in ("--set", each)]
    start = time.perf_counter()
    train = ["train", "--manifest", str(data), "--recipe", recipe, "--out", str(out), "--overwrite"]
    pairlight(*train, "--cache", str(args.out / f"cache_{count}"), "--quiet", *changes)
    minutes = (time.perf_counter() - start) / 60
    scores = out / "scores.json"
    model = str(out / "checkpoints" / "best_model_256.pth")
    where = ["--manifest", str(args.manifest), "--split", "val"]
    pairlight("evaluate", "--model", model, *where, "--quiet", "--json", str(scores))
    found = json.loads(scores.read_text())
    said = []
    if name == "auto":
        said = json.loads((out / "autopilot.json").read_text())["reasons"]
    return {
        "photos": count,
        "recipe": name,
        "i2t_R@1": found["i2t"]["R@1"],
        "t2i_R@1": found["t2i"]["R@1"],
        "rsum": found["rsum"],
        "minutes": minutes,
        "said": said,
    }


def table(results: list[dict]) -> str:
    """Return the markdown table: how far each recipe is from the best picked by hand."""
    lines = [
        "| photos | recipe | i2t R@1 | t2i R@1 | rsum | rsum/6 against the best by hand | min |"
    ]
    lines.append("| --- " * 7 + "|")
    for count in sorted({run["photos"] for run in results}):
        runs = [run for run in results if run["photos"] == count]
        hand = [run["rsum"] for run in runs if run["recipe"] != "auto"]
        for run in sorted(runs, key=lambda each: -each["rsum"]):
            gap = f"{(run['rsum'] - max(hand)) / 6:+.1f}" if hand else ""
            lines.append(
                f"| {count:,} | {run['recipe']} | {run['i2t_R@1']:.1f} | {run['t2i_R@1']:.1f} "
                f"| {run['rsum']:.1f} | {gap} | {run['minutes']:.1f} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run what is not done yet and write the table after each run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sizes", default="200,1000")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "results.jsonl"
    results = [json.loads(line) for line in path.open()] if path.exists() else []
    for count in map(int, args.sizes.split(",")):
        data = subset(args.manifest, count, args.out, args.seed)
        for name, sets in {"auto": [], **by_hand(count)}.items():
            if any(run["photos"] == count and run["recipe"] == name for run in results):
                continue
            results.append(measure(name, sets, data, args, count))
            with path.open("a") as file:
                file.write(json.dumps(results[-1]) + "\n")
            (args.out / "table.md").write_text(table(results))
            print(f"{count} photos, {name}: rsum {results[-1]['rsum']:.1f}", flush=True)


if __name__ == "__main__":
    main()
