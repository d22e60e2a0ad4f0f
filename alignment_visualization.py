"""Draws the pictures of the trained model: `pairlight visualize` with the quick start's paths."""

import sys

from pairlight.cli.main import app, run

if __name__ == "__main__":
    arguments = [
        "visualize",
        *("--model", "checkpoints/best_model_256.pth"),
        *("--manifest", "data/flickr8k/manifest.jsonl"),
        *("--out", "visualization"),
    ]
    sys.exit(run(app, [*arguments, *sys.argv[1:]]))
