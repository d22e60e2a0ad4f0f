"""Trains the default model with one thing changed at a time and tables what each does on val.

    python benchmarks/ablations.py --manifest flickr8k.jsonl --out ablations --protocol heads
        [--seeds 0,1,2] [--only "base;soft targets"] [--set train.precision=fp32]

Two protocols: `heads` trains the heads alone, on kept features, in seconds an epoch; `tune` sets
out from its base run and trains the last two image blocks and text layers, three epochs. Each run
is `pairlight train` in a process of its own; features of frozen parts are shared in OUT/cache.
Runs that are done are not repeated, so an interrupted table goes on where it stopped. Writes
OUT/PROTOCOL.jsonl (one line a run) and OUT/PROTOCOL.md (means over seeds, changes against the base
of the same seeds).
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Of one protocol: what every run sets, and what each lever changes.
STAGES = {
    "heads": "{name: heads, epochs: 12, batch_size: 512, lr: 1e-3}",
    "tune": "{name: tune, epochs: 3, image_blocks: 2, text_layers: 2, views: 2, batch_size: 256, "
    "lr: 3e-4, image_lr: 3e-4, text_lr: 1.5e-4}",
}
PLAIN = ["train.head_init=random", "model.projection=mlp"]
# What can be changed in both.
COMMON: dict[str, list[str]] = {
    "base": [],
    "hard negatives": ["train.hard_negatives=0.5"],
    "hard negatives, light": ["train.hard_negatives=0.1"],
    "sigmoid loss": ["train.loss=sigmoid"],
    "caption pairs": ["train.caption_pairs=0.3"],
    "soft targets": ["train.soft_targets=0.3"],
    "faster temperature": ["train.scale_rate=20"],
    "one caption an image": ["stages.0.captions_per_image=1"],
    "four captions an image": ["stages.0.captions_per_image=4"],
    "no names of classes": ["train.class_names=0"],
    "photos mixed by up to half": ["augment.mix=0.5"],
}
LEVERS: dict[str, dict[str, list[str]]] = {
    "heads": COMMON
    | {
        "random start": ["train.head_init=random"],
        "random start, two-layer heads": PLAIN,
        "random start, two-layer heads, embed_dim 512": [*PLAIN, "model.embed_dim=512"],
        "ridge 1": ["train.head_ridge=1"],
        "ridge 20": ["train.head_ridge=20"],
        "embed_dim 128": ["model.embed_dim=128"],
        "embed_dim 512": ["model.embed_dim=512"],
        "max pooling of regions": ["model.image_pooling=max"],
        "attention pooling": ["model.image_pooling=attention", "model.text_pooling=attention"],
        "gpo pooling": ["model.image_pooling=gpo", "model.text_pooling=gpo"],
        "region dropout": ["model.image_pooling=attention", "augment.region_dropout=0.3"],
        "batch 128": ["stages.0.batch_size=128"],
        "batch 2,048": ["stages.0.batch_size=2048"],
        "rate x 0.3": ["stages.0.lr=3e-4"],
        "two augmented views": ["stages.0.views=2"],
        "224 pixels": ["model.image_size=224"],
        "taught by `pretrained`": ["train.teachers=[pretrained]", "train.distillation=0.5"],
    },
    "tune": COMMON
    | {
        "no token dropout": ["augment.token_dropout=0"],
        "token dropout 0.1": ["augment.token_dropout=0.1"],
        "rates x 0.5": ["stages.0.image_lr=1.5e-4", "stages.0.text_lr=7.5e-5"],
        "rates x 2": ["stages.0.image_lr=6e-4", "stages.0.text_lr=3e-4"],
        "text frozen": ["stages.0.text_layers=0", "stages.0.text_lr=0"],
        "image frozen": ["stages.0.image_blocks=0", "stages.0.image_lr=0"],
        "one block, one layer": ["stages.0.image_blocks=1", "stages.0.text_layers=1"],
        "four blocks, six layers": ["stages.0.image_blocks=4", "stages.0.text_layers=6"],
        "five blocks, six layers": ["stages.0.image_blocks=5", "stages.0.text_layers=6"],
        "no weight average": ["train.ema=0"],
        "batch 128": ["stages.0.batch_size=128"],
        "batch 64": ["stages.0.batch_size=64"],
        "batch 512, gradient caching": ["stages.0.batch_size=512", "train.gradient_caching=true"],
        "one view": ["stages.0.views=1"],
        "a new view every epoch": ["stages.0.views=3"],
        "no cropping": ["augment.crop_scale=1"],
        "views of 256 pixels": ["augment.image_size=256"],
        "224 pixels": ["model.image_size=224"],
        "taught by `pretrained`": ["train.teachers=[pretrained]", "train.distillation=0.5"],
    },
}
RECALLS = [(way, f"R@{k}") for way in ("i2t", "t2i") for k in (1, 5, 10)]


def train(name: str, seed: int, args: argparse.Namespace) -> dict:
    """Train one variant; return its best epoch's scores, time, and peak memory."""
    out = folder_of(args, args.protocol, name, seed)
    # Some of the losses do not go with mixed photos.
    base = [f"stages=[{STAGES[args.protocol]}]", "augment.mix=0"]
    sets = [*base, *args.set, *LEVERS[args.protocol][name]]
    # Scores are those of the epochs; a step back and a correction of hubs come after them.
    sets += [f"train.seed={seed}", "train.interpolate=false", "train.hub_prototypes=0"]
    command = [sys.executable, "-m", "pairlight", "train", "--quiet", "--overwrite"]
    command += ["--manifest", str(args.manifest), "--recipe", args.recipe, "--out", str(out)]
    command += ["--cache", str(args.out / "cache"), "--json", str(out) + ".json"]
    if args.protocol == "tune":
        command += ["--init", str(heads_of(args))]
    for each in sets:
        command += ["--set", each]
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen(command, stderr=errors)
        _, status, usage = os.wait4(child.pid, 0)  # this child's memory, not the largest so far
        if status:
            errors.seek(0)
            raise SystemExit(f"{name}: {errors.read().strip()}")
    history = json.loads(Path(str(out) + ".json").read_text())["history"]
    best = max(history, key=lambda entry: entry["val"]["rsum"])
    start_event = json.loads((out / "log.jsonl").open().readline())
    return {
        "name": name,
        "seed": seed,
        "sets": sets,
        "val": best["val"],
        "epoch": best["epoch"],
        "minutes": (time.perf_counter() - start) / 60,
        "training_minutes": sum(entry["seconds"] for entry in history) / 60,
        "peak_gib": usage.ru_maxrss / 2**20,
        "parameters": start_event["parameters"],
    }


def folder_of(args: argparse.Namespace, protocol: str, name: str, seed: int) -> Path:
    """Return the folder of a run, named after its lever: the list of levers may change later."""
    return args.out / f"{protocol}_{re.sub(r'[^a-z0-9.]+', '_', name.lower()).strip('_')}_{seed}"


def heads_of(args: argparse.Namespace) -> Path:
    """Return the checkpoint of the heads that every run of `tune` sets out from."""
    found = folder_of(args, "heads", "base", 0) / "checkpoints" / "best_heads_256.pth"
    if not found.exists():
        raise SystemExit(f"{found} is not there; run --protocol heads --only base first")
    return found


def table(results: list[dict], args: argparse.Namespace) -> str:
    """Return the markdown table: a line a variant, means over its seeds."""
    levers = LEVERS[args.protocol]
    by_name = {name: [r for r in results if r["name"] == name] for name in levers}
    base = {run["seed"]: run["val"]["rsum"] for run in by_name["base"]}
    heads = " | ".join(f"{way} {k}" for way, k in RECALLS)
    lines = [f"| changed | seeds | {heads} | rsum | against base | training, min "]
    lines[0] += "| peak, GiB | parameters, M |"
    lines.append("| --- " * (len(RECALLS) + 7) + "|")
    for name, runs in by_name.items():
        if not runs:
            continue
        scores = " | ".join(
            f"{statistics.mean(r['val'][way][k] for r in runs):.1f}" for way, k in RECALLS
        )
        sums = [run["val"]["rsum"] for run in runs]
        spread = f" ± {statistics.stdev(sums):.1f}" if len(sums) > 1 else ""
        # Seed by seed: a seed that is kind to the base is kind to the others, too.
        gains = [run["val"]["rsum"] - base[run["seed"]] for run in runs if run["seed"] in base]
        change = f"{statistics.mean(gains):+.1f}" if gains else ""
        minutes = statistics.mean(run["training_minutes"] for run in runs)
        lines.append(
            f"| {name} | {len(runs)} | {scores} | {statistics.mean(sums):.1f}{spread} "
            f"| {change} | {minutes:.1f} | {max(r['peak_gib'] for r in runs):.1f} "
            f"| {runs[0]['parameters'] / 1e6:.1f} |"
        )
    about = f"Protocol `{args.protocol}`: {STAGES[args.protocol]}; {' '.join(args.set)} "
    return about + f"{platform.processor() or platform.machine()}\n\n" + "\n".join(lines) + "\n"


def main() -> None:
    """Run what is not done yet and write the table after each run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", default="small")
    parser.add_argument("--protocol", choices=sorted(STAGES), default="heads")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--only", help="names of levers, separated by semicolons")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    known = LEVERS[args.protocol]
    chosen = args.only.split(";") if args.only else list(known)
    if unknown := set(chosen) - set(known):
        parser.error(f"unknown: {'; '.join(unknown)}. Choose from: {'; '.join(known)}")
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / f"{args.protocol}.jsonl"
    results = [json.loads(line) for line in path.open()] if path.exists() else []
    for seed in map(int, args.seeds.split(",")):
        for name in chosen:
            if any(r["name"] == name and r["seed"] == seed for r in results):
                continue
            results.append(train(name, seed, args))
            with path.open("a") as file:
                file.write(json.dumps(results[-1]) + "\n")
            (args.out / f"{args.protocol}.md").write_text(table(results, args))
            print(f"{name}, seed {seed}: rsum {results[-1]['val']['rsum']:.1f}", flush=True)


if __name__ == "__main__":
    main()
