"""Measures how many photos a second are indexed, against ViT-B/32 as rclip runs it, and torch.

python benchmarks/index_speed.py                                  # 40 photos of each size
python benchmarks/index_speed.py --checkpoint runs/mine/checkpoints/best_model_256.pth
python benchmarks/index_speed.py --photos 200 --threads 2 --repeats 3

Photos are made here, seeded: smooth colours, shapes, sensor noise, JPEG; as large and as slow to
decode as a camera's. Every contender runs in a process of its own, on the same processors, over
the same files, which the system has in memory; loading a model and its first batch do not count.

- pairlight: the whole of `pairlight index` (scan, hash, decode, embed, commit to disk).
- ViT-B/32: what rclip does, batches of 8, Pillow, the usual preprocessing, torch in float32; random
  weights of the same shapes, which take as long. Nothing is written to disk.
- checkpoint (with --checkpoint): the same index, embedded by torch.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIZES = ((500, 375), (1600, 1200), (4000, 3000))
SCENES = 8  # Different pictures of a size; each is saved several times, with other noise.
QUALITY = 92
VIT_BATCH = 8  # as rclip's
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def scene(size, rng):
    """A picture (H, W, 3) float32 of smooth colours, edges and texture; no noise yet."""
    total = np.zeros((size[1], size[0], 3), np.float32)
    for cells, weight in ((3, 90), (12, 40), (60, 18), (300, 9)):
        shape = (max(2, cells * size[1] // size[0]), cells, 3)
        small = Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))
        grown = small.resize(size, Image.Resampling.BICUBIC)
        total += (np.asarray(grown, np.float32) - 128) * (weight / 128)
    picture = Image.fromarray((total + 128).clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for _ in range(25):
        x, y = rng.integers(0, size[0]), rng.integers(0, size[1])
        wide, high = rng.integers(size[0] // 60, size[0] // 4, 2)
        form = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        form((x, y, x + wide, y + high), fill=tuple(rng.integers(0, 256, 3).tolist()))
    # A lens leaves no edge sharper than a pixel or two.
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(1.2)), np.float32)


def make_photos(folder, size, count, rng):
    """Write `count` photos of `size`; return their bytes in all."""
    folder.mkdir(parents=True)
    scenes = [scene(size, rng) for _ in range(min(SCENES, count))]
    # JPEG codes blocks of 16 x 16 apart, so noise that recurs costs as much as any other.
    tile = rng.standard_normal((1024, 1024, 3), np.float32)
    rows, columns = np.arange(size[1]), np.arange(size[0])
    for number in range(count):
        down, right = rng.integers(0, 1024, 2)
        noise = tile[((rows + down) % 1024)[:, None], (columns + right) % 1024]
        pixels = (scenes[number % len(scenes)] + 7 * noise).clip(0, 255).astype(np.uint8)
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9003] = f"2024:05:31 18:{number // 60 % 60:02d}:{number % 60:02d}"
        Image.fromarray(pixels).save(folder / f"{number:05d}.jpg", quality=QUALITY, exif=exif)
    return sum(path.stat().st_size for path in folder.iterdir())


# What follows runs in a process of its own and prints two kinds of seconds.


def clocks():
    """Seconds by the wall, and of processor time in all threads."""
    return np.array([time.perf_counter(), time.process_time()])


def index_with(model_name, folder, threads):
    import pairlight
    from pairlight.search.index import index_photos
    from pairlight.search.store import open_store

    model = pairlight.load(model_name)
    model.encode_pixels(np.zeros((8, model.image_size, model.image_size, 3), np.uint8))
    with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
        start = clocks()
        with open_store(f"{beside}/photos.db", write=True) as store:
            report = index_photos(store, model, [str(folder)], threads=threads)
        spent = clocks() - start
    assert report.counts["embedded"] == sum(path.is_file() for path in folder.rglob("*.jpg"))
    return spent


def vit(folder, threads):
    """ViT-B/32 as rclip runs it: one photo after another is decoded, then a batch embedded."""
    import torch
    from torchvision import transforms
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = CLIPVisionModelWithProjection(CLIPVisionConfig()).eval()  # the shapes of ViT-B/32
    prepare = transforms.Compose(
        [
            transforms.Resize(224, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(224),
            lambda image: image.convert("RGB"),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    with torch.inference_mode():
        model(pixel_values=torch.zeros(VIT_BATCH, 3, 224, 224))
        start = clocks()
        paths = sorted(folder.rglob("*.jpg"))
        for first in range(0, len(paths), VIT_BATCH):
            group = paths[first : first + VIT_BATCH]
            batch = torch.stack([prepare(Image.open(path)) for path in group])
            found = model(pixel_values=batch).image_embeds
            found /= found.norm(dim=-1, keepdim=True)
        return clocks() - start


def run_one(kind, folder, threads):
    """Print what one contender takes, on `threads` processors."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    spent = vit(folder, threads) if kind == "vit" else index_with(kind, folder, threads)
    print(json.dumps(spent.tolist()))


# And this starts them.


def seconds_of(kind, folder, threads):
    words = [sys.executable, __file__, "--run", kind, "--folder", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [*words, "--threads", str(threads)], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"index_speed.py: {kind}: {done.stderr.strip()}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(folder, count, contenders, args):
    """Return images a second, and a second of processor time, of each contender (medians)."""
    spent = {name: [] for name in contenders}
    for _ in range(args.repeats):  # They take turns, so that a busy machine hinders all alike.
        for name, kind in contenders.items():
            spent[name].append(seconds_of(kind, folder, args.threads))
    return {name: count / np.median(each, axis=0) for name, each in spent.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=40, help="photos of each size")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="pretrained")
    parser.add_argument("--checkpoint", help="torch checkpoint to index with as well")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        return run_one(args.run, args.folder, args.threads)
    contenders = {"pairlight": args.model, "ViT-B/32": "vit"}
    if args.checkpoint:
        contenders["checkpoint"] = args.checkpoint
    with tempfile.TemporaryDirectory() as made:
        folders = {}
        for size in SIZES:
            folder = Path(made) / "all" / f"{size[0]}x{size[1]}"
            held = make_photos(folder, size, args.photos, np.random.default_rng([args.seed, *size]))
            folders[f"{size[0]} x {size[1]}, {held / args.photos / 1e6:.2f} MB"] = folder
        folders["all of them"] = Path(made) / "all"
        heads = "".join(f"{name:>14}" for name in contenders)
        print(f"images a second (in brackets: a second of processor time), {args.photos} photos of "
              f"each size, {args.threads} threads")  # fmt: skip
        print(f"{'':<26}{heads}   times ViT-B/32")
        for what, folder in folders.items():
            count = args.photos * (len(SIZES) if what == "all of them" else 1)
            speed = compare(folder, count, contenders, args)
            told = "".join(f"{wall:7.1f} ({work:4.1f})" for wall, work in speed.values())
            wall, work = speed["pairlight"] / speed["ViT-B/32"]
            print(f"{what:<26}{told}   {wall:.2f} ({work:.2f})", flush=True)


if __name__ == "__main__":
    main()
