"""Trains the default recipe with one thing changed at a time and tables what each does on val.

    python benchmarks/ablations.py --manifest flickr8k.jsonl --out ablations [--seeds 0,1,2]
        [--only base,soft_targets] [--set stages.1.epochs=4]

Each run is `pairlight train` in a process of its own; features of frozen parts are shared in
OUT/cache. Runs that are done are not repeated, so an interrupted table goes on where it stopped.
Writes OUT/results.jsonl (one line a run) and OUT/table.md (means over seeds, changes against base).
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

LEVERS: dict[str, list[str]] = {
    "base": [],
    "rates x 0.5": ["stages.1.image_lr=1.5e-4", "stages.1.text_lr=7.5e-5"],
    "rates x 2": ["stages.1.image_lr=6e-4", "stages.1.text_lr=3e-4"],
    "text nearly frozen": ["stages.1.text_lr=2e-5"],
    "one block more": ["stages.1.image_blocks=4"],
    "all text layers": ["stages.1.text_layers=6"],
    "attention pooling": ["model.image_pooling=attention", "model.text_pooling=attention"],
    "gpo pooling": ["model.image_pooling=gpo", "model.text_pooling=gpo"],
    "max pooling": ["model.image_pooling=max"],
    "hard negatives": ["train.hard_negatives=0.5"],
    "sigmoid loss": ["train.loss=sigmoid"],
    "caption pairs": ["train.caption_pairs=0.3"],
    "soft targets": ["train.soft_targets=0.3"],
    "faster temperature": ["train.scale_rate=20"],
    "weight average": ["train.ema=0.99"],
    "four captions an image": ["stages.1.captions_per_image=4"],
    "batch 256": ["stages.1.batch_size=256"],
    "region and token dropout": ["augment.region_dropout=0.3", "augment.token_dropout=0.2"],
    "260 pixels": ["model.image_size=260"],
    "four views": ["stages.1.views=4"],
    "a new view every epoch": ["stages.1.views=0"],
    "embed_dim 512": ["model.embed_dim=512"],
}
RECALLS = [(way, f"R@{k}") for way in ("i2t", "t2i") for k in (1, 5, 10)]


def train(name: str, seed: int, args: argparse.Namespace) -> dict:
    """Train one variant; return its best epoch's scores, time, and peak memory."""
    out = args.out / f"{name.replace(' ', '_').replace('.', '')}_{seed}"
    sets = [*args.set, *LEVERS[name], f"train.seed={seed}"]
    command = [sys.executable, "-m", "pairlight", "train", "--quiet", "--overwrite"]
    command += ["--manifest", str(args.manifest), "--recipe", args.recipe, "--out", str(out)]
    command += ["--cache", str(args.out / "cache"), "--json", str(out) + ".json"]
    for each in sets:
        command += ["--set", each]
    start = time.perf_counter()
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr.strip()}")
    history = json.loads(Path(str(out) + ".json").read_text())["history"]
    best = max(history, key=lambda entry: entry["val"]["rsum"])
    # Of all children so far: a later, smaller run shows the largest before it.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    return {
        "name": name,
        "seed": seed,
        "sets": sets,
        "val": best["val"],
        "epoch": best["epoch"],
        "minutes": (time.perf_counter() - start) / 60,
        "training_minutes": sum(entry["seconds"] for entry in history) / 60,
        "peak_gib_so_far": peak,
    }


def table(results: list[dict], args: argparse.Namespace) -> str:
    """Return the markdown table: a line a variant, means over its seeds."""
    by_name = {name: [r for r in results if r["name"] == name] for name in LEVERS}
    base = [run["val"]["rsum"] for run in by_name["base"]]
    heads = " | ".join(f"{way} {k}" for way, k in RECALLS)
    lines = [f"| changed | seeds | {heads} | rsum | against base | training, min |"]
    lines.append("| --- " * (len(RECALLS) + 5) + "|")
    for name, runs in by_name.items():
        if not runs:
            continue
        scores = " | ".join(
            f"{statistics.mean(r['val'][way][k] for r in runs):.1f}" for way, k in RECALLS
        )
        sums = [run["val"]["rsum"] for run in runs]
        spread = f" ± {statistics.stdev(sums):.1f}" if len(sums) > 1 else ""
        change = f"{statistics.mean(sums) - statistics.mean(base):+.1f}" if base else ""
        minutes = statistics.mean(run["training_minutes"] for run in runs)
        lines.append(
            f"| {name} | {len(runs)} | {scores} | {statistics.mean(sums):.1f}{spread} "
            f"| {change} | {minutes:.1f} |"
        )
    about = f"`{args.recipe}` with {', '.join(args.set) or 'nothing else changed'}; "
    return about + f"{platform.processor() or platform.machine()}\n\n" + "\n".join(lines) + "\n"


def main() -> None:
    """Run what is not done yet and write the table after each run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", default="small")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--only", default=",".join(LEVERS))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    unknown = set(args.only.split(",")) - set(LEVERS)
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; choose from {', '.join(LEVERS)}")
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "results.jsonl"
    results = [json.loads(line) for line in path.open()] if path.exists() else []
    for seed in map(int, args.seeds.split(",")):
        for name in args.only.split(","):
            if any(r["name"] == name and r["seed"] == seed for r in results):
                continue
            results.append(train(name, seed, args))
            with path.open("a") as file:
                file.write(json.dumps(results[-1]) + "\n")
            (args.out / "table.md").write_text(table(results, args))
            print(f"{name}, seed {seed}: rsum {results[-1]['val']['rsum']:.1f}", flush=True)


if __name__ == "__main__":
    main()
