"""Quick start, step 1: checks the photos and captions in data/flickr8k and writes a manifest."""

import sys
from pathlib import Path

from pairlight.cli.main import app, run

DATA = Path("data/flickr8k")

if __name__ == "__main__":
    captions = DATA / "Flickr8k.token.txt"
    if not captions.exists() and (DATA / "captions.txt").exists():
        captions = DATA / "captions.txt"  # The name in Kaggle's copy of Flickr8k.
    defaults = ["--images", f"{DATA / 'images'}", "--captions", f"{captions}"]
    defaults += ["--out", f"{DATA / 'manifest.jsonl'}"]
    sys.exit(run(app, ["prepare", *defaults, *sys.argv[1:]]))
