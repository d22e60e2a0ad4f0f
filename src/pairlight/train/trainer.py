"""Trains a recipe on a manifest: stages, validation, checkpoints, resume."""

import dataclasses
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pairlight.config import Recipe, StageConfig
from pairlight.data.dataset import epoch_batches
from pairlight.embed import pick_device
from pairlight.errors import DataError, choose
from pairlight.losses import LOSSES
from pairlight.models.checkpoint import read_checkpoint, save_checkpoint
from pairlight.models.dual_encoder import DualEncoder
from pairlight.output import Output
from pairlight.train import epoch as epochs
from pairlight.train.average import WeightAverage
from pairlight.train.finish import finish_checkpoint
from pairlight.train.inputs import StageInputs
from pairlight.train.interpolate import image_weights
from pairlight.train.objective import Objective, prepare_objective
from pairlight.train.precision import Precision, choose_precision, describe_choice, probe_step
from pairlight.train.recompute import caching_wanted
from pairlight.train.run import (
    Position,
    RunPaths,
    TrainResult,
    captioned_splits,
    clear_run,
    entries_of,
    for_trained_heads,
    is_best,
    next_position,
    open_run,
    save_history,
    starting_model,
)
from pairlight.train.runlog import RunLog, data_hash, environment, epoch_line, epoch_scalars
from pairlight.train.schedule import make_optimizer
from pairlight.types import Photo


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
    cache: Path
    history: list[dict[str, Any]] = field(default_factory=list)
    precision: Precision | None = None
    objective: Objective | None = None
    steps: int = 0

    def run(self, resumed: dict[str, Any] | None) -> None:
        """Run every epoch that is left."""
        start = image_weights(self.model) if self.recipe.train.interpolate else None
        if resumed is not None:
            self._restore(resumed)
        inputs, meaning = None, resumed["meaning"] if resumed else None
        while (position := next_position(self.history, self.recipe)) is not None:
            held = resumed["optimizer"] if resumed and position.epoch else None
            resumed = None
            if self.objective is None:  # nothing is asked of a run that has ended
                targets = self.recipe, self.model, self.train, self.cache, self.device, self.output
                self.objective = prepare_objective(*targets, meaning)
            inputs = self._run_stage(position, held)
        if self.recipe.train.runs == 1:  # of several runs the average is finished instead
            photos, recipe = (self.train, self.val), self.recipe
            splits = inputs.splits if inputs else photos
            tuned = self.paths.best_of(recipe.stages[-1])
            options = (start, recipe, self.device, self.output, tuned)
            trials = finish_checkpoint(self.paths.best, photos, splits, *options)
            for name, trial in trials.items():
                self.log.event(name, **trial.told())

    def _restore(self, content: dict[str, Any]) -> None:
        self.model.load_state_dict(content["state_dict"])
        self.history = content["history"]
        self.steps = content["steps"]
        if content["precision"] is not None:
            self.precision = Precision(content["precision"], self.device)
        # A crash between the two writes at an epoch's end can have left it a line short.
        save_history(self.paths, self.history, self.recipe)
        self.output.say(f"resuming after epoch {len(self.history)}")

    def _run_stage(self, position: Position, held: dict | None) -> StageInputs:
        stage = self.recipe.stages[position.stage]
        if position.stage and not position.epoch:
            before = self.recipe.stages[position.stage - 1]
            best = read_checkpoint(self.paths.best_of(before), self.paths.embed_dim)
            self.model.load_state_dict(best["state_dict"])
        # On the device before the optimizer is made: it holds on to the parameters it is given.
        self.model.to(self.device)
        groups = self.model.set_trainable(stage.image_blocks, stage.text_layers)
        photos = self.train, self.val
        inputs = StageInputs(
            self.model, self.recipe, stage, photos, self.cache, self.device, self.output
        )
        available = inputs.available
        if available < 2:
            raise DataError("fewer than two training photos could be read; were they moved?")
        assert self.objective is not None
        if self.recipe.train.head_init == "cca" and not self.history:
            inputs.fit_heads(self.objective.classes)
        if available < stage.batch_size:
            self.output.say(f"batch size {stage.batch_size} is cut to the {available} photos")
        precision = self._precision(stage)
        state = epochs.StageState(
            model=self.model,
            recipe=self.recipe,
            stage=stage,
            optimizer=make_optimizer(groups, stage, self.recipe.train),
            precision=precision,
            objective=self.objective.in_precision(precision),
            best=self.paths.best,
            steps_per_epoch=len(epoch_batches(available, stage.batch_size, 0, 0)),
            caching=caching_wanted(self.model, self.recipe, stage, precision, self.output),
        )
        state.scaler = precision.scaler()
        if self.recipe.train.ema and not stage.frozen:
            state.average = WeightAverage(self.model, self.recipe.train.ema)
        if held is not None:
            state.restore(held)
        trained = sum(p.numel() for group in groups.values() for p in group)
        self.output.say(f"stage {stage.name}: {trained / 1e6:.1f}M trained parameters")
        self.log.event("stage", stage=stage.name, trained_parameters=trained)
        for state.epoch_in_stage in range(position.epoch, stage.epochs):
            self._run_epoch(state, inputs)
            if next_position(self.history, self.recipe) != Position(
                position.stage, state.epoch_in_stage + 1
            ):
                break
        if len(entries_of(self.history, stage)) < stage.epochs:
            self.output.say(f"stage {stage.name} stops early: rsum no longer rises")
        return inputs

    def _precision(self, stage: StageConfig) -> Precision:
        """Return the run's precision, probing once when photos first go through the encoders."""
        if stage.frozen:
            return Precision("fp32", self.device)
        if self.precision is None:
            config = self.recipe.train
            step = partial(probe_step, self.model, config.chunk)
            self.precision, seconds = choose_precision(config.precision, self.device, step)
            self.log.event("precision", chosen=self.precision.name, seconds_a_step=seconds)
            self.output.say(describe_choice(self.precision, seconds))
        return self.precision

    def _run_epoch(self, state: epochs.StageState, inputs: StageInputs) -> None:
        number = len(self.history) + 1
        seed = self.recipe.train.seed
        # Dropout draws from torch's generator: the same from here on, resumed or not.
        torch.manual_seed(int(np.random.SeedSequence([seed, number]).generate_state(1)[0]))
        measured = self._steps(state, inputs.batches(state, number), number)
        lost = state.steps_per_epoch * min(state.stage.batch_size, inputs.available)
        lost -= measured.pop("images")
        if lost > 0:
            self.output.say(
                f"{lost} photos could not be read in this epoch; prepare again to find which"
            )
        with state.averaged():
            val = inputs.validate()
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
            self._save_best(state)
        self._save_last(state)

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

    def _facts(self, state: epochs.StageState) -> dict[str, Any]:
        return {
            "recipe_name": self.recipe.name,
            "recipe": dataclasses.asdict(self.recipe),
            "data_hash": self.data,
            "epoch": len(self.history),
            "stage": state.stage.name,
            "val": self.history[-1]["val"],
            "class_names": state.objective.class_names,
        }

    def _save_best(self, state: epochs.StageState) -> None:
        if is_best(entries_of(self.history, state.stage)):
            save_checkpoint(self.paths.best_of(state.stage), self.model, **self._facts(state))
        if is_best(self.history):
            save_checkpoint(self.paths.best, self.model, **self._facts(state))

    def _save_last(self, state: epochs.StageState) -> None:
        # Last of all: a crash before this line repeats the epoch, and loses nothing.
        save_checkpoint(
            self.paths.last,
            self.model,
            **self._facts(state),
            history=self.history,
            steps=self.steps,
            precision=self.precision.name if self.precision else None,
            optimizer=state.held(),
            meaning=state.objective.meaning,
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
    cache: Path | None = None,
    init: Path | None = None,
) -> TrainResult:
    """Train `recipe` on the manifest's train split and return where the checkpoints are.

    Validation on the val split chooses the best checkpoint; without one the latest is taken. With
    `init` training sets out from that checkpoint's weights, and its frozen stages are passed over.
    Raises `DataError` for a manifest without splits or with fewer than two training photos.
    """
    output = output or Output(quiet=True)
    choose(LOSSES, recipe.train.loss, "train.loss")
    if init is not None:
        recipe = for_trained_heads(recipe)
    chosen = captioned_splits(manifest, output)
    data = data_hash([*chosen["train"], *chosen["val"]])
    paths = RunPaths(out, recipe.model.embed_dim)
    resumed = open_run(paths, recipe, data, resume, overwrite)
    if resume and resumed is None:
        output.say(f"nothing to resume in {out}: starting from the beginning")
    torch.manual_seed(recipe.train.seed)
    device = pick_device(device)
    model = starting_model(recipe, init, output)
    if overwrite and resumed is None:  # only now: all that could refuse to start has agreed
        clear_run(paths)
    log = RunLog(out, paths.board)
    train, val, kept = chosen["train"], chosen["val"], cache or paths.cache
    trainer = Trainer(recipe, paths, train, val, data, device, output, log, model, kept)
    counts = {name: len(each) for name, each in chosen.items()}
    size = sum(p.numel() for p in model.parameters())
    facts = {"init": str(init) if init else None, "device": device, "parameters": size}
    facts |= {"data": {"manifest": str(manifest), "sha256": data, **counts}, **environment()}
    log.event("resume" if resumed else "start", recipe=dataclasses.asdict(recipe), **facts)
    try:
        trainer.run(resumed)
    finally:
        log.close()
    if cache is None:  # it can be gigabytes, and only an unfinished run has use for it
        shutil.rmtree(paths.cache, ignore_errors=True)
    return TrainResult(paths.best, paths.last, trainer.history)
