"""Quick start, step 3: trains the default recipe on the prepared Flickr8k."""

import sys

from pairlight.cli.main import app, run

if __name__ == "__main__":
    defaults = ["--manifest", "data/flickr8k/manifest.jsonl", "--recipe", "small", "--out", "."]
    sys.exit(run(app, ["train", *defaults, *sys.argv[1:]]))
