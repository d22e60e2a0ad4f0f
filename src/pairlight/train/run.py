"""Holds one run's files and where it stands: what to start, what to resume, what to refuse."""

import contextlib
import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pairlight.config import Recipe, StageConfig
from pairlight.data.manifest import read_manifest
from pairlight.errors import ConfigError, DataError, ModelError, PairlightError
from pairlight.files import make_folder, write_atomic
from pairlight.models.checkpoint import load_checkpoint, read_checkpoint
from pairlight.models.dual_encoder import DualEncoder
from pairlight.output import Output
from pairlight.types import Photo

# Fewer held-out photos than this make every estimate a matter of luck.
ENOUGH_TO_JUDGE = 20


@dataclass(frozen=True)
class RunPaths:
    """The files of one run under its folder."""

    out: Path
    embed_dim: int

    @property
    def best(self) -> Path:
        """The checkpoint with the best validation rsum so far."""
        return self.out / "checkpoints" / f"best_model_{self.embed_dim}.pth"

    @property
    def last(self) -> Path:
        """The checkpoint after the last whole epoch, with optimizer state."""
        return self.out / "checkpoints" / f"last_{self.embed_dim}.pth"

    def best_of(self, stage: StageConfig) -> Path:
        """The best checkpoint of one stage."""
        return self.out / "checkpoints" / f"best_{stage.name}_{self.embed_dim}.pth"

    def bests(self) -> list[Path]:
        """Return the checkpoints of best epochs that are there: best_model, and any stage's."""
        return sorted(self.best.parent.glob(f"best_*_{self.embed_dim}.pth"))

    @property
    def history(self) -> Path:
        """The history of epochs."""
        return self.out / f"training_history_{self.embed_dim}.pth"

    @property
    def board(self) -> Path:
        """The folder of TensorBoard's files."""
        return self.out / "tensorboard" / str(self.embed_dim)

    @property
    def cache(self) -> Path:
        """Where frozen features are kept."""
        return self.out / "cache"

    def refuse_unless(self, overwrite: bool) -> None:
        """Raise `PairlightError` for a folder that holds a run, unless it may be replaced."""
        if self.last.exists() and not overwrite:
            raise PairlightError(
                f"{self.out}: holds a run already; --resume continues it, --overwrite starts anew"
            )
        if (kept := self.bests()) and not overwrite:
            raise PairlightError(
                f"{kept[0]}: is in the way, and without {self.last.name} beside it there is no run "
                "to resume; choose another --out, move it away, or replace it with --overwrite"
            )


@dataclass(frozen=True)
class TrainResult:
    """What a run left: its best and last checkpoints, and one entry of history an epoch.

    Where `best` is an average of several runs, `average` tells how many were `taken` and its `val`;
    last and history are those of the first.
    """

    best: Path
    last: Path
    history: list[dict[str, Any]]
    average: dict[str, Any] | None = None


@dataclass(frozen=True)
class Position:
    """The next epoch to run: `stage` counts from 0, `epoch` within it too."""

    stage: int
    epoch: int


def captioned_splits(manifest: Path, output: Output) -> dict[str, list[Photo]]:
    """Return the photos of train and val that have captions; two are the least to train on.

    Says what it means that no photos, or few, are held out to choose the best epoch.
    """
    photos = [photo for photo in read_manifest(manifest) if photo.captions]
    chosen = {name: [p for p in photos if p.split == name] for name in ("train", "val")}
    if len(chosen["train"]) < 2:
        raise DataError(
            f"{manifest}: {len(chosen['train'])} photos in the train split, training needs at "
            f"least 2; run: pairlight split --manifest {manifest}"
        )
    judges = len(chosen["val"])
    if not judges:
        output.say("no validation split: the latest epoch counts as the best")
    elif judges < ENOUGH_TO_JUDGE:
        output.say(
            f"only {judges} photos in the val split: which epoch is best there, and whether a "
            f"correction of hubs helps, is a matter of luck; hold out {ENOUGH_TO_JUDGE} or more"
        )
    return chosen


def rsum_of(entry: dict[str, Any]) -> float:
    """Return an epoch's validation rsum; without validation a later epoch counts as better."""
    return entry["val"]["rsum"] if entry["val"] else float(entry["epoch"])


def entries_of(history: list[dict], stage: StageConfig) -> list[dict]:
    """Return the epochs of one stage."""
    return [entry for entry in history if entry["stage"] == stage.name]


def is_best(history: list[dict]) -> bool:
    """Return whether the last epoch is better than all before it in `history`."""
    *before, last = map(rsum_of, history)
    return all(last > each for each in before)


def stage_over(history: list[dict], stage: StageConfig, patience: int) -> bool:
    """Return whether a stage has run its epochs, or `patience` of them without a better one."""
    scores = [rsum_of(entry) for entry in entries_of(history, stage)]
    if len(scores) >= stage.epochs:
        return True
    return len(scores) > patience and max(scores[-patience:]) <= max(scores[:-patience])


def next_position(history: list[dict], recipe: Recipe) -> Position | None:
    """Return where a run with this history goes on; None when it has ended."""
    for number, stage in enumerate(recipe.stages):
        if not stage_over(history, stage, recipe.train.patience):
            return Position(number, len(entries_of(history, stage)))
    return None


def open_run(
    paths: RunPaths, recipe: Recipe, data: str, resume: bool, overwrite: bool
) -> dict[str, Any] | None:
    """Return the content of the last checkpoint when resuming, None when starting.

    An earlier run is never written over unasked, and never continued with another recipe or
    other data. Nothing of it is changed yet; the folder for checkpoints is made.
    """
    make_folder(paths.best.parent)
    if resume and paths.last.exists():
        content = read_checkpoint(paths.last)
        missing = {"recipe", "data_hash", "history", "steps", "optimizer"} - set(content)
        if missing:
            raise ModelError(
                f"{paths.last}: is no last checkpoint of a run (no {', '.join(sorted(missing))}); "
                "choose another --out, or --overwrite"
            )
        same_recipe(content["recipe"], recipe)
        if content["data_hash"] != data:
            raise DataError(
                f"{paths.last}: was trained on other data than this manifest; "
                "choose another --out to start anew"
            )
        return content
    paths.refuse_unless(overwrite)
    return None


def clear_run(paths: RunPaths) -> None:
    """Remove an earlier run of the same embed_dim; log.jsonl stays and is added to.

    If that run was the first of several (`train.runs`), the others are removed too.
    """
    runs = whole_run(paths)
    for each in runs:
        for path in (*each.bests(), each.last, each.history):
            path.unlink(missing_ok=True)
        shutil.rmtree(each.board, ignore_errors=True)
    for other in runs[1:]:
        for folder in (other.out / "checkpoints", other.out / "tensorboard", other.out):
            with contextlib.suppress(OSError):  # not there, or something else is in it
                folder.rmdir()


def whole_run(paths: RunPaths) -> list[RunPaths]:
    """Return what belongs to the run at `paths`: itself, then those that it is the first of."""
    # Asked of the run itself: a folder named run2 may also be another run, which is not ours.
    numbers = range(2, _runs_of(paths) + 1)
    return [paths, *(RunPaths(paths.out / f"run{n}", paths.embed_dim) for n in numbers)]


def _runs_of(paths: RunPaths) -> int:
    """Return how many runs the recipe of what lies at `paths` asked for; 1 where that is lost."""
    for path in (paths.last, paths.best):
        try:
            return int(read_checkpoint(path)["recipe"]["train"]["runs"])
        except (ModelError, KeyError, TypeError, ValueError):
            continue
    return 1


def same_recipe(stored: dict[str, Any], recipe: Recipe) -> None:
    """Raise `ConfigError` for the first field in which `recipe` is not what a run has stored."""
    now = flat(dataclasses.asdict(recipe))
    before = flat(stored)
    for key in sorted(set(now) | set(before)):
        if now.get(key) != before.get(key):
            raise ConfigError(
                f"--resume: {key} is {now.get(key)!r}, the run had {before.get(key)!r}; "
                "use the same recipe, or another --out"
            )


def for_trained_heads(recipe: Recipe) -> Recipe:
    """Return the recipe for a model whose heads are trained already."""
    stages = tuple(stage for stage in recipe.stages if not stage.frozen) or recipe.stages
    train = dataclasses.replace(recipe.train, head_init="random")
    return dataclasses.replace(recipe, stages=stages, train=train)


def starting_model(recipe: Recipe, init: Path | None, output: Output) -> DualEncoder:
    """Return the model that training sets out from; it must take views of the recipe's size."""
    if init is None:
        model = DualEncoder.build(recipe.model)
    else:
        model = _initial_model(init, recipe, output)
    size = recipe.view_size
    if size != recipe.model.image_size:
        try:
            with torch.inference_mode():
                model.image_encoder(torch.zeros(1, 3, size, size, dtype=torch.uint8))
        except (AssertionError, RuntimeError) as error:
            raise ConfigError(
                f"augment.image_size: {recipe.model.image_encoder} does not take views of {size} "
                f"pixels beside photos of {recipe.model.image_size}; leave it at null ({error})"
            ) from None
    return model


def _initial_model(path: Path, recipe: Recipe, output: Output) -> DualEncoder:
    """Return the model of a checkpoint to train on; it must be the recipe's."""
    model, _ = load_checkpoint(path)
    wanted = dataclasses.asdict(recipe.model)
    for key, found in dataclasses.asdict(model.config).items():
        # What only says where weights came from, or how heads are trained, may differ.
        if key not in ("pretrained", "image_weights", "dropout") and found != wanted[key]:
            raise ConfigError(
                f"--init {path}: its model.{key} is {found!r}, the recipe has {wanted[key]!r}; "
                f"add --set model.{key}={found}"
            )
    if model.corrects_hubs:
        output.say(f"{path}: its correction of hubs is put aside, training makes it obsolete")
        model.forget_hubs()
    return model


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested values under dotted keys."""
    if isinstance(value, dict):
        items = [(str(key), each) for key, each in value.items()]
    elif isinstance(value, list | tuple):
        items = [(str(n), each) for n, each in enumerate(value)]
    else:
        return {prefix: value}
    found: dict[str, Any] = {}
    for key, each in items:
        found.update(flat(each, f"{prefix}.{key}" if prefix else key))
    return found


def save_history(paths: RunPaths, history: list[dict], recipe: Recipe) -> None:
    """Write the history file, loadable with weights_only."""
    content = {"history": history, "recipe": dataclasses.asdict(recipe)}
    write_atomic(paths.history, lambda aside: torch.save(content, aside))
