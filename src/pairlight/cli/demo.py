"""The command that shows the whole way, from photos to pictures, on the bundled sample."""

import contextlib
import dataclasses
import json
import shlex
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from pairlight.cli.console import JSON, QUIET, Output
from pairlight.errors import ConfigError, MissingDependency

QUERIES = ("a man on a skateboard", "food on a table", "an animal outdoors")


def demo(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(help="Folder for everything the demo makes.")] = Path("demo"),
    quiet: bool = QUIET,
    json_to: str = JSON,
) -> None:
    """Walk through prepare, split, train, evaluate and visualize on 35 bundled photos.

    Each step is an ordinary command, printed before it runs, so that you can repeat it with your
    own photos. Takes under a minute on two cores and downloads nothing.

    \b
    Examples:
      pairlight demo
      pairlight demo --out /tmp/demo --quiet --json results.json
    """
    from pairlight.sample import sample_dir

    output = Output(quiet, json_to)
    start = time.perf_counter()
    manifest, recipe = out / "manifest.jsonl", out / "recipe.yaml"
    model, results = out / "checkpoints" / "best_model_256.pth", out / "evaluation_results.json"
    captions, images = sample_dir() / "captions.json", sample_dir() / "images"
    _check_folder(out, recipe)
    if find_spec("torch") is None:
        raise MissingDependency(
            "torch is not installed; the demo trains a model: pip install '.[train]'"
        )
    looked_for = [word for query in QUERIES for word in ("--query", query)]
    write_recipe(recipe)
    steps = {
        "1. Check the photos and clean their captions": [
            "prepare", "--images", images, "--captions", captions, "--out", manifest],
        "2. Set photos aside that training never sees": [
            "split", "--manifest", manifest, "--ratios", "0.6,0.1,0.3", "--seed", "0"],
        "3. Train the two projection heads": [
            "train", "--manifest", manifest, "--recipe", recipe, "--out", out, "--overwrite"],
        "4. Measure retrieval on the test photos": [
            "evaluate", "--model", model, "--manifest", manifest, "--split", "test",
            "--json", results],
        "5. Draw what the model has learnt": [
            "visualize", "--model", model, "--manifest", manifest, "--split", "test",
            "--out", out / "visualization", "--json", out / "pictures.json", *looked_for],
    }  # fmt: skip
    for title, argv in steps.items():
        _step(ctx, output, title, [str(word) for word in argv])
    evaluation = json.loads(results.read_text(encoding="utf-8"))
    drawn = json.loads((out / "pictures.json").read_text(encoding="utf-8"))["files"]
    pictures = [str(out / "curves.png"), *(name for name in drawn if name.endswith(".png"))]
    seconds = time.perf_counter() - start
    output.say("\n" + summary(evaluation, out, seconds))
    output.json({"evaluation": evaluation, "pictures": pictures, "seconds": seconds})


def _check_folder(out: Path, recipe: Path) -> None:
    """Refuse a folder that holds somebody's own run: the demo writes over what it finds."""
    ours = recipe.is_file() and "name: demo" in recipe.read_text(encoding="utf-8")
    if not ours and ((out / "checkpoints").exists() or (out / "manifest.jsonl").exists()):
        raise ConfigError(f"--out {out}: holds something else already; choose another folder")


def _step(ctx: typer.Context, output: Output, title: str, argv: list[str]) -> None:
    """Print a command line, then run just that line."""
    output.say(f"\n{title}\n$ pairlight {shlex.join(argv)}")
    quiet = ["--quiet"] if output.quiet else []
    # While stdout carries the demo's own JSON, what its steps say goes where its words go.
    with contextlib.redirect_stdout(output.stream):
        pairlight = ctx.find_root().command
        code = pairlight.main(args=argv + quiet, prog_name="pairlight", standalone_mode=False)
    if code == 130:  # Typer's for Ctrl-C; what follows has nothing to go on with
        raise KeyboardInterrupt


def write_recipe(path: Path) -> None:
    """Write the default recipe's first stage, cut to what a few photos need, as a YAML recipe."""
    import yaml

    from pairlight.files import write_text_atomic
    from pairlight.recipes import load_recipe

    small = load_recipe("small")
    # Small batches give a few photos more steps; a handful to validate on is too few to stop by.
    stage = dataclasses.replace(small.stages[0], batch_size=16)
    train = dataclasses.replace(small.train, patience=stage.epochs)
    recipe = dataclasses.replace(small, name="demo", stages=(stage,), train=train)
    words = "# The small recipe's heads alone, for the bundled sample.\n"
    text = yaml.safe_dump(dataclasses.asdict(recipe), sort_keys=False)
    write_text_atomic(path, [words, text])


def summary(evaluation: dict, out: Path, seconds: float) -> str:
    """Return what the demo's numbers mean, what they do not, and where to look next."""
    protocol, chance = evaluation["protocol"], evaluation["chance"]
    images = protocol["images"]
    return "\n".join(
        [
            f"Done in {seconds:.0f} seconds.",
            f"The test gallery holds {images} photos that training never saw. The right photo came "
            f"first for {evaluation['t2i']['R@1']:.0f} % of their {protocol['captions']} captions; "
            f"guessing finds {chance['t2i']['R@1']:.0f} %.",
            f"A caption of its own came first for {evaluation['i2t']['R@1']:.0f} % of the photos; "
            f"guessing finds {chance['i2t']['R@1']:.0f} %.",
            f"35 photos only show the way: one photo of {images} is {100 / images:.0f} points, so "
            "these numbers say that the steps work, not how good a model trained on thousands of "
            "photos is.",
            f"Look at:   {out / 'visualization' / 'report.html'} in a browser, and the pictures "
            "beside it",
            "Next:      pairlight prepare --images YOUR_PHOTOS --captions YOUR_CAPTIONS "
            "--out photos.jsonl",
        ]
    )
