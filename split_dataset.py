"""Quick start, step 2: gives each photo of the manifest to train, val or test."""

import sys
from pathlib import Path

from pairlight.cli.main import app, run

DATA = Path("data/flickr8k")

if __name__ == "__main__":
    defaults = ["--manifest", f"{DATA / 'manifest.jsonl'}"]
    chosen = any(word.startswith(("--ratios", "--official")) for word in sys.argv[1:])
    if not chosen and (DATA / "Flickr_8k.trainImages.txt").exists():
        defaults += ["--official", f"{DATA}"]
    sys.exit(run(app, ["split", *defaults, *sys.argv[1:]]))
