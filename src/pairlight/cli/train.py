"""Trains a recipe on a manifest: `pairlight train`."""

import dataclasses
from pathlib import Path

import typer

from pairlight.cli.console import JSON, QUIET, Output
from pairlight.errors import ConfigError, MissingDependency


def train(
    manifest: Path = typer.Option(None, help="Manifest with splits (prepare, then split)."),
    recipe: str = typer.Option(
        "small",
        help="small, quick, reference, a YAML file, or auto: small, fitted to your data.",
    ),
    out: Path = typer.Option(Path("runs/small"), help="Folder for checkpoints, history and logs."),
    embed_dim: int = typer.Option(None, help="Length of an embedding; 256 or 512 are usual."),
    set_: list[str] = typer.Option(
        [], "--set", metavar="KEY=VALUE", help="Change one field of the recipe; may be repeated."
    ),
    init: Path = typer.Option(
        None, help="Checkpoint to set out from; stages that train heads alone are passed over."
    ),
    resume: bool = typer.Option(False, "--resume", help="Continue the run in --out."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace the run in --out."),
    show_recipe: bool = typer.Option(
        False, "--show-recipe", help="Print every field of the recipe with its meaning, and stop."
    ),
    cache: Path = typer.Option(
        None,
        help="Folder to keep what frozen parts give, for runs to come; default: OUT/cache, removed "
        "when the run is complete.",
    ),
    device: str = typer.Option("auto", help="auto, cpu, cuda or cuda:N."),
    json_to: str = JSON,
    quiet: bool = QUIET,
) -> None:
    """Train a dual encoder on a manifest's train split, choosing the best epoch on val.

    Writes OUT/checkpoints/best_model_DIM.pth, last_DIM.pth and best_STAGE_DIM.pth,
    OUT/training_history_DIM.pth, OUT/log.jsonl, OUT/tensorboard/ and OUT/curves.png.

    \b
    Examples:
      pairlight train --manifest photos.jsonl --out runs/small
      pairlight train --manifest photos.jsonl --out runs/small --resume
      pairlight train --manifest photos.jsonl --recipe auto --out runs/mine
      pairlight train --manifest photos.jsonl --recipe reference --embed-dim 512 --out runs/ref
      pairlight train --manifest photos.jsonl --set train.seed=1 --set stages.1.epochs=4
      pairlight train --manifest photos.jsonl --out runs/two --set train.runs=2
      pairlight train --manifest mine.jsonl --init small.pth --out runs/mine
      pairlight train --recipe small --show-recipe
    """
    from pairlight.recipes import describe, load_recipe

    output = Output(quiet, json_to)
    overrides = [*set_, *([] if embed_dim is None else [f"model.embed_dim={embed_dim}"])]
    chosen = load_recipe("small" if recipe == "auto" else recipe, overrides)
    if show_recipe:
        if recipe == "auto":
            output.say("auto sets out from this; stages, batches and epochs then follow a probe.\n")
        output.say(describe(chosen))
        output.json(dataclasses.asdict(chosen))
        return
    if manifest is None:
        raise ConfigError(
            "--manifest is missing; make one with: pairlight prepare, pairlight split"
        )
    try:
        from pairlight.train.autopilot import autopilot
        from pairlight.train.run import RunPaths, rsum_of
        from pairlight.train.runs import train_runs
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"{error.name} is not installed; training needs: pip install 'pairlight[train]'"
        ) from None
    from pairlight.plots.curves import plot_curves

    try:
        if recipe == "auto":
            if init is not None:
                raise ConfigError("--init and --recipe auto: use one of them")
            result = autopilot(manifest, chosen, out, resume, overwrite, output, device, cache)
        else:
            result = train_runs(
                manifest, chosen, out, resume, overwrite, output, device, cache, init
            )
    except KeyboardInterrupt:
        if RunPaths(out, chosen.model.embed_dim).last.exists():
            output.say(
                f"the last whole epoch is in {out}; continue with the same command and --resume"
            )
        raise
    told = {"best": str(result.best), "last": str(result.last), "history": result.history}
    output.json(told | ({"average": result.average} if result.average else {}))
    for warning in plot_curves(result.history, out / "curves.png"):
        output.say(f"note: {warning}")
    what = f"epoch {max(result.history, key=rsum_of)['epoch']}"
    if result.average:
        what = _average_in_words(result.average, chosen.train.runs)
    output.say(f"best: {what} -> {result.best}")
    output.say(f"next: pairlight evaluate --model {result.best} --manifest {manifest}")


def _average_in_words(average: dict, runs: int) -> str:
    return f"average of {average['taken']} of {runs} runs, rsum {average['val']['rsum']:.1f}"
