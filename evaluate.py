"""Quick start, step 4: measures the trained model on the Flickr8k test split."""

import sys

from pairlight.cli.main import app, run

DEFAULTS = ["--model", "checkpoints/best_model_256.pth", "--json", "evaluation_results.json"]
DATA = ["--manifest", "data/flickr8k/manifest.jsonl"]

if __name__ == "__main__":
    given = sys.argv[1:]
    # Photos of your own take the place of Flickr8k, not a seat beside it.
    own = any(word.split("=")[0] == "--images" for word in given)
    sys.exit(run(app, ["evaluate", *DEFAULTS, *([] if own else DATA), *given]))
