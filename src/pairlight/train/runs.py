"""Trains a recipe as often as it asks for, from the same heads, and averages what comes out."""

import dataclasses
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pairlight.config import MAX_SEED, Recipe
from pairlight.errors import ConfigError
from pairlight.models.checkpoint import read_checkpoint
from pairlight.output import Output
from pairlight.train.run import (
    RunPaths,
    TrainResult,
    captioned_splits,
    for_trained_heads,
    open_run,
    whole_run,
)
from pairlight.train.runlog import RunLog, data_hash
from pairlight.train.soup import greedy_soup
from pairlight.train.trainer import train


def train_runs(
    manifest: Path,
    recipe: Recipe,
    out: Path,
    resume: bool = False,
    overwrite: bool = False,
    output: Output | None = None,
    device: str = "auto",
    cache: Path | None = None,
    init: Path | None = None,
) -> TrainResult:
    """Train `recipe.train.runs` runs and return where the checkpoints of the result are.

    The first run is that of `train`, in OUT. The others set out from its heads, or from `init`, in
    OUT/run2 and so on, each with the next seed. OUT/checkpoints/best_model_DIM.pth is then their
    greedy soup, with a correction of hubs where the recipe wants one. Raises `ConfigError` for
    several runs that cannot be averaged, besides what `train` raises.
    """
    output = output or Output(quiet=True)
    if overwrite:
        replaced = RunPaths(out, recipe.model.embed_dim)
        _spare_what_is_used(replaced, [path for path in (init, *recipe.train.teachers) if path])
    number = recipe.train.runs
    if number > 1 and all(stage.frozen for stage in recipe.stages):
        output.say("heads alone are trained: one run, an average of several would be the same")
        number, recipe = 1, _with(recipe, runs=1)
    if number == 1:
        return train(manifest, recipe, out, resume, overwrite, output, device, cache, init)
    folders = [out, *(out / f"run{n}" for n in range(2, number + 1))]
    paths = [RunPaths(folder, recipe.model.embed_dim) for folder in folders]
    _refuse_what_has_no_average(manifest, recipe, init)
    if not resume:  # now, not when the first run is done
        for each in paths:
            each.refuse_unless(overwrite)
    elif (made := _average_made(paths[0])) is not None:
        history = _history_of_same(paths[0], manifest, recipe, init)
        output.say(f"{paths[0].best}: the average of the runs is made already")
        return TrainResult(paths[0].best, paths[0].last, history, made)
    kept, heads, found = cache or paths[0].cache, init, []
    for n, folder in enumerate(folders):
        seed = (recipe.train.seed + n) % (MAX_SEED + 1)  # after the last seed comes the first
        output.say(f"run {n + 1} of {number}, seed {seed}: {folder}")
        seeded = _with(recipe, seed=seed)
        options = (resume, overwrite, output, device, kept)
        found.append(train(manifest, seeded, folder, *options, heads if n else init))
        heads = heads or _heads_of(paths[0], recipe)
    start = heads if recipe.train.interpolate else None
    average = _average(manifest, recipe, paths[0], found, start, device, output)
    if cache is None:
        shutil.rmtree(kept, ignore_errors=True)
    return TrainResult(paths[0].best, paths[0].last, found[0].history, average)


def _with(recipe: Recipe, **changes: Any) -> Recipe:
    return dataclasses.replace(recipe, train=dataclasses.replace(recipe.train, **changes))


def _spare_what_is_used(replaced: RunPaths, used: Sequence[Path | str]) -> None:
    """Raise `ConfigError` where a run sets out from a checkpoint of the run that it replaces."""
    files = {path.resolve() for run in whole_run(replaced) for path in (*run.bests(), run.last)}
    for path in used:
        if Path(path).resolve() in files:
            raise ConfigError(
                f"{path}: is used, and is of the run that --overwrite removes; choose another "
                "--out, or copy it elsewhere"
            )


def _refuse_what_has_no_average(manifest: Path, recipe: Recipe, init: Path | None) -> None:
    if init is None and not recipe.stages[0].frozen:
        raise ConfigError(
            "train.runs: runs must set out from the same weights; begin with a stage that trains "
            "the heads alone, or give --init"
        )
    if not captioned_splits(manifest, Output(quiet=True))["val"]:
        raise ConfigError(
            f"train.runs: {manifest} has no val split to judge an average by; run pairlight split, "
            "or use --set train.runs=1"
        )


def _heads_of(paths: RunPaths, recipe: Recipe) -> Path:
    """Return the best checkpoint of the last stage before any encoder is trained."""
    number = next(n for n, stage in enumerate(recipe.stages) if not stage.frozen)
    return paths.best_of(recipe.stages[number - 1])


def _average_made(paths: RunPaths) -> dict[str, Any] | None:
    if not (paths.best.exists() and paths.last.exists()):
        return None
    content = read_checkpoint(paths.best)
    return {"taken": len(content["soup"]), "val": content["val"]} if "soup" in content else None


def _history_of_same(
    paths: RunPaths, manifest: Path, recipe: Recipe, init: Path | None
) -> list[dict[str, Any]]:
    """Return the first run's history; refuses another recipe or other data, as `train` does."""
    photos = captioned_splits(manifest, Output(quiet=True))
    data = data_hash([*photos["train"], *photos["val"]])
    trained = recipe if init is None else for_trained_heads(recipe)
    content = open_run(paths, trained, data, resume=True, overwrite=False)
    assert content is not None  # there is a last checkpoint, else no average was found
    return content["history"]


def _average(
    manifest: Path,
    recipe: Recipe,
    paths: RunPaths,
    runs: list[TrainResult],
    start: Path | None,
    device: str,
    output: Output,
) -> dict[str, Any]:
    """Put the soup of `runs` in the place of the first one's best checkpoint."""
    aside = paths.best.with_name(f"average_{paths.embed_dim}.pth")
    aside.unlink(missing_ok=True)
    made = greedy_soup(
        [run.best for run in runs],
        manifest,
        aside,
        device=device,
        output=output,
        hub_prototypes=recipe.train.hub_prototypes,
        self_distillation=recipe.train.self_distillation,
        start=start,
    )
    os.replace(aside, paths.best)
    found = {"taken": len(made.taken), "val": made.val}
    log = RunLog(paths.out, paths.board)
    log.event("soup", of=len(runs), alone=made.alone, **found)
    log.close()
    return found
