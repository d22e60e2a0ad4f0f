"""Times a step of fine-tuning on this processor: float32, torch's bf16 autocast, and pairlight's.

    python benchmarks/train_step.py [--recipe small] [--threads 2] [--rounds 5]

A batch as the recipe's last stage has it, forward and backward through the parts that it trains,
in chunks as in training, on random numbers in place of what is kept of photos and captions. The
three take turns, round by round; medians are told, and ratios to float32.
"""

import argparse
import statistics
import time

import torch
from torch import nn

from pairlight.models.dual_encoder import DualEncoder
from pairlight.recipes import load_recipe
from pairlight.train.precision import Precision
from pairlight.train.stem import Stem

TOKENS = 14  # a caption's mean length in Flickr8k, its two special tokens included


def inputs_of(recipe, stem):
    """What the trained part is given for a batch: (photos, hidden states, mask)."""
    stage = recipe.stages[-1]
    side = recipe.view_size
    kept = stem.lower_images(torch.zeros(1, 3, side, side, dtype=torch.uint8))
    texts = stage.batch_size * stage.captions_per_image
    ids = torch.ones(1, TOKENS, dtype=torch.long)
    hidden = stem.lower_texts(ids, ids.bool())
    generator = torch.Generator().manual_seed(0)
    photos = torch.rand(stage.batch_size, *kept.shape[1:], generator=generator).half()
    states = torch.randn(texts, *hidden.shape[1:], generator=generator).half()
    return photos, states, torch.ones(texts, TOKENS).bool()


def step(stem, inputs, chunk, precision):
    """Seconds of one batch forward and backward."""
    photos, states, mask = inputs
    start = time.perf_counter()
    with precision.autocast():
        images = [stem.upper_images(part) for part in photos.split(chunk)]
        parts = zip(states.split(2 * chunk), mask.split(2 * chunk), strict=True)
        texts = [stem.upper_texts(*part) for part in parts]
    (torch.cat(images).float().sum() + torch.cat(texts).float().sum()).backward()
    seconds = time.perf_counter() - start
    stem.model.zero_grad(set_to_none=True)
    return seconds


def made(recipe, plain):
    """The recipe's last stage, to be trained; `plain`: autocast as torch has it."""
    torch.manual_seed(0)
    model = DualEncoder.build(recipe.model)
    if plain:
        for conv in model.image_encoder.modules():
            if isinstance(conv, nn.Conv2d):
                conv.__dict__.pop("forward", None)
    stage = recipe.stages[-1]
    model.set_trainable(stage.image_blocks, stage.text_layers)
    model.train()
    return Stem(model, stage.image_blocks, stage.text_layers)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="small")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    recipe = load_recipe(args.recipe)
    plain, bf16 = made(recipe, plain=True), Precision("bf16", "cpu")
    ways = {
        "float32": (plain, Precision("fp32", "cpu")),
        "bf16 autocast of torch": (plain, bf16),
        "bf16, depthwise in float32": (made(recipe, plain=False), bf16),
    }
    inputs = inputs_of(recipe, plain)
    seconds = {name: [] for name in ways}
    for turn in range(args.rounds + 1):
        for name, (stem, precision) in ways.items():
            taken = step(stem, inputs, recipe.train.chunk, precision)
            if turn:  # the first pays for set-up
                seconds[name].append(taken)
    base = statistics.median(seconds["float32"])
    for name, taken in seconds.items():
        middle = statistics.median(taken)
        print(
            f"{name}: {middle:.2f} s a step of {len(inputs[0])} photos, "
            f"{base / middle:.2f} times float32"
        )


if __name__ == "__main__":
    main()
