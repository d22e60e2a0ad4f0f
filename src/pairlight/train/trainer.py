"""Trains a recipe on a manifest: stages, validation, checkpoints, resume."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pairlight.config import Recipe, StageConfig
from pairlight.data.dataset import CaptionedPhotos, epoch_batches
from pairlight.data.manifest import read_manifest
from pairlight.embed import pick_device
from pairlight.errors import DataError, choose
from pairlight.losses import LOSSES
from pairlight.models.checkpoint import read_checkpoint, save_checkpoint
from pairlight.models.dual_encoder import DualEncoder
from pairlight.output import Output
from pairlight.train import epoch as epochs
from pairlight.train.features import Features, split_features
from pairlight.train.precision import Precision, choose_precision, describe_choice, probe_step
from pairlight.train.run import (
    Position,
    RunPaths,
    clear_run,
    entries_of,
    is_best,
    next_position,
    open_run,
    save_history,
)
from pairlight.train.runlog import RunLog, data_hash, environment, epoch_line, epoch_scalars
from pairlight.train.schedule import make_optimizer
from pairlight.train.validate import validate
from pairlight.types import Photo


@dataclass(frozen=True)
class TrainResult:
    """What a run left: its best and last checkpoints, and one entry of history an epoch."""

    best: Path
    last: Path
    history: list[dict[str, Any]]


@dataclass
class Trainer:
    """One run under way."""

    recipe: Recipe
    paths: RunPaths
    train: list[Photo]
    val: list[Photo]
    data: str
    device: str
    output: Output
    log: RunLog
    model: DualEncoder
    history: list[dict[str, Any]] = field(default_factory=list)
    precision: Precision | None = None
    steps: int = 0

    def run(self, resumed: dict[str, Any] | None) -> None:
        """Run every epoch that is left."""
        if resumed is not None:
            self._restore(resumed)
        while (position := next_position(self.history, self.recipe)) is not None:
            optimizer_state = resumed["optimizer"] if resumed and position.epoch else None
            resumed = None
            self._run_stage(position, optimizer_state)

    def _restore(self, content: dict[str, Any]) -> None:
        self.model.load_state_dict(content["state_dict"])
        self.history = content["history"]
        self.steps = content["steps"]
        if content["precision"] is not None:
            self.precision = Precision(content["precision"], self.device)
        # A crash between the two writes at an epoch's end can have left it a line short.
        save_history(self.paths, self.history, self.recipe)
        self.output.say(f"resuming after epoch {len(self.history)}")

    def _run_stage(self, position: Position, optimizer_state: dict | None) -> None:
        stage = self.recipe.stages[position.stage]
        if position.stage and not position.epoch:
            before = self.recipe.stages[position.stage - 1]
            best = read_checkpoint(self.paths.best_of(before), self.paths.embed_dim)
            self.model.load_state_dict(best["state_dict"])
        # On the device before the optimizer is made: it holds on to the parameters it is given.
        self.model.to(self.device)
        groups = self.model.set_trainable(stage.image_blocks, stage.text_layers)
        features = self._features(stage)
        dataset = None if features else self._dataset(stage)
        available = len(features[0].images) if features else len(self.train)
        if available < 2:
            raise DataError("fewer than two training photos could be read; were they moved?")
        if available < stage.batch_size:
            self.output.say(f"batch size {stage.batch_size} is cut to the {available} photos")
        state = epochs.StageState(
            model=self.model,
            recipe=self.recipe,
            stage=stage,
            optimizer=make_optimizer(groups, stage, self.recipe.train),
            precision=self._precision(stage),
            scaler=None,
            steps_per_epoch=len(epoch_batches(available, stage.batch_size, 0, 0)),
        )
        state.scaler = state.precision.scaler()
        if optimizer_state is not None:
            state.optimizer.load_state_dict(optimizer_state["optimizer"])
            state.scaler.load_state_dict(optimizer_state["scaler"])
        trained = sum(p.numel() for group in groups.values() for p in group)
        self.output.say(f"stage {stage.name}: {trained / 1e6:.1f}M trained parameters")
        self.log.event("stage", stage=stage.name, trained_parameters=trained)
        for state.epoch_in_stage in range(position.epoch, stage.epochs):
            self._run_epoch(state, features, dataset)
            if next_position(self.history, self.recipe) != Position(
                position.stage, state.epoch_in_stage + 1
            ):
                break
        if len(entries_of(self.history, stage)) < stage.epochs:
            self.output.say(f"stage {stage.name} stops early: rsum no longer rises")

    def _features(self, stage: StageConfig) -> tuple[Features, Features | None] | None:
        """Return train and validation features when nothing under the heads will change."""
        if not stage.frozen:
            return None
        found = []
        for photos in (self.train, self.val):
            one = None
            if photos:
                one = split_features(self.model, photos, self.paths.cache, self.output.track)
            if one and len(one.images) < len(photos):
                self.output.say(
                    f"{len(photos) - len(one.images)} of {len(photos)} photos could not be read"
                )
            found.append(one.to(self.device) if one else None)
        return found[0], found[1]

    def _dataset(self, stage: StageConfig) -> CaptionedPhotos:
        tokenizer = self.model.tokenizer
        return CaptionedPhotos(
            photos=self.train,
            tokens=[tokenizer(list(photo.captions)) for photo in self.train],
            mask_id=tokenizer.mask_id,
            size=self.recipe.model.image_size,
            config=self.recipe.augment,
            captions_per_image=stage.captions_per_image,
            seed=self.recipe.train.seed,
        )

    def _precision(self, stage: StageConfig) -> Precision:
        """Return the run's precision, probing once when photos first go through the encoders."""
        if stage.frozen:
            return Precision("fp32", self.device)
        if self.precision is None:
            asked = self.recipe.train.precision
            self.precision, seconds = choose_precision(
                asked, self.device, partial(probe_step, self.model, self.recipe.train.chunk)
            )
            self.log.event("precision", chosen=self.precision.name, seconds_a_step=seconds)
            self.output.say(describe_choice(self.precision, seconds))
        return self.precision

    def _run_epoch(self, state: epochs.StageState, features, dataset) -> None:
        number = len(self.history) + 1
        seed = self.recipe.train.seed
        # Dropout draws from torch's generator: the same from here on, resumed or not.
        torch.manual_seed(int(np.random.SeedSequence([seed, number]).generate_state(1)[0]))
        if features:
            batches = epochs.frozen_batches(self.model, features[0], state.stage, seed, number)
        else:
            batches = epochs.photo_batches(state, dataset, seed, number)
        measured = self._steps(state, batches, number)
        lost = state.steps_per_epoch * min(state.stage.batch_size, len(self.train))
        lost -= measured.pop("images")
        if lost > 0 and not features:
            self.output.say(
                f"{lost} photos could not be read in this epoch; prepare again to find which"
            )
        held_out = features[1] if features else self.val
        val = validate(self.model, held_out, self.device, self.output) if held_out else None
        entry = {
            "epoch": number,
            "stage": state.stage.name,
            "lr": {name: float(value) for name, value in state.rates.items()},
            "logit_scale": self.model.logit_scale.item(),
            "val": val,
            **measured,
        }
        self.history.append(entry)
        self._record(state, entry)
        self._save(state)

    def _steps(self, state: epochs.StageState, batches: Iterator, number: int) -> dict:
        done, total = state.epoch_in_stage + 1, state.stage.epochs
        with self.output.progress() as bar:
            task = bar.add_task(
                f"{state.stage.name} {done}/{total}", total=state.steps_per_epoch, note=""
            )

            def report(step: dict) -> None:
                self.steps += 1
                note = f"loss {step['loss']:.3f} · {step['images_per_second']:.0f} images/s"
                bar.update(task, advance=1, note=note)
                if self.steps % 10 == 0:
                    self.log.event("step", step=self.steps, epoch=number, **step)
                    self.log.scalars(self.steps, {"train/loss": step["loss"]})

            return epochs.run_epoch(state, batches, report)

    def _record(self, state: epochs.StageState, entry: dict) -> None:
        self.log.event("epoch", **entry)
        self.log.scalars(entry["epoch"], epoch_scalars(entry))
        done = f"{state.stage.name} {state.epoch_in_stage + 1}/{state.stage.epochs}"
        self.output.say(f"{done}  {epoch_line(entry)}")

    def _save(self, state: epochs.StageState) -> None:
        common = {
            "recipe_name": self.recipe.name,
            "recipe": dataclasses.asdict(self.recipe),
            "data_hash": self.data,
            "epoch": len(self.history),
            "stage": state.stage.name,
            "val": self.history[-1]["val"],
        }
        if is_best(entries_of(self.history, state.stage)):
            save_checkpoint(self.paths.best_of(state.stage), self.model, **common)
        if is_best(self.history):
            save_checkpoint(self.paths.best, self.model, **common)
        optimizer = {
            "optimizer": state.optimizer.state_dict(),
            "scaler": state.scaler.state_dict(),
        }
        # Last of all: a crash before this line repeats the epoch, and loses nothing.
        save_checkpoint(
            self.paths.last,
            self.model,
            **common,
            history=self.history,
            steps=self.steps,
            precision=self.precision.name if self.precision else None,
            optimizer=optimizer,
        )
        save_history(self.paths, self.history, self.recipe)


def train(
    manifest: Path,
    recipe: Recipe,
    out: Path,
    resume: bool = False,
    overwrite: bool = False,
    output: Output | None = None,
    device: str = "auto",
) -> TrainResult:
    """Train `recipe` on the manifest's train split and return where the checkpoints are.

    Validation on the val split chooses the best checkpoint; without one the latest is taken.
    Raises `DataError` for a manifest without splits or with fewer than two training photos.
    """
    output = output or Output(quiet=True)
    choose(LOSSES, recipe.train.loss, "train.loss")
    photos = [photo for photo in read_manifest(manifest) if photo.captions]
    chosen = {name: [p for p in photos if p.split == name] for name in ("train", "val")}
    if len(chosen["train"]) < 2:
        raise DataError(
            f"{manifest}: {len(chosen['train'])} photos in the train split, training needs at "
            "least 2; run: pairlight split --manifest " + str(manifest)
        )
    if not chosen["val"]:
        output.say("no validation split: the latest epoch counts as the best")
    data = data_hash([*chosen["train"], *chosen["val"]])
    paths = RunPaths(out, recipe.model.embed_dim)
    resumed = open_run(paths, recipe, data, resume, overwrite)
    if resume and resumed is None:
        output.say(f"nothing to resume in {out}: starting from the beginning")
    torch.manual_seed(recipe.train.seed)
    device = pick_device(device)
    model = DualEncoder.build(recipe.model)
    if overwrite and resumed is None:  # only now: all that could refuse to start has agreed
        clear_run(paths, recipe)
    log = RunLog(out, paths.board)
    trainer = Trainer(
        recipe, paths, chosen["train"], chosen["val"], data, device, output, log, model
    )
    counts = {name: len(each) for name, each in chosen.items()}
    facts = {"device": device, "parameters": sum(p.numel() for p in model.parameters())}
    facts |= {"data": {"manifest": str(manifest), "sha256": data, **counts}, **environment()}
    log.event("resume" if resumed else "start", recipe=dataclasses.asdict(recipe), **facts)
    try:
        trainer.run(resumed)
    finally:
        log.close()
    return TrainResult(paths.best, paths.last, trainer.history)
