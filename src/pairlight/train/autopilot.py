"""Chooses a recipe for a user's own data by probing it first, and says why in plain words."""

import dataclasses
import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pairlight.config import Recipe, StageConfig
from pairlight.data.manifest import read_manifest
from pairlight.errors import ConfigError, DataError
from pairlight.files import make_folder, write_text_atomic
from pairlight.models.checkpoint import read_checkpoint
from pairlight.output import Output
from pairlight.recipes import from_dict
from pairlight.train.run import ENOUGH_TO_JUDGE, RunPaths, TrainResult, entries_of, same_recipe
from pairlight.train.runs import train_runs
from pairlight.train.trainer import train

# Steps of each stage that were enough on 6,000 photos; a few photos need no fewer.
HEAD_STEPS, TUNE_STEPS, PROBE_STEPS = 130, 184, 46
# Up to this many times the loss of the heads, a probe that stepped back may still come to win. It
# has a quarter of the steps or fewer, and where the whole run does not win either, the heads stay.
NEARLY = 1.02


@dataclass(frozen=True)
class Choice:
    """The recipe chosen, what the probe found, and why, line by line."""

    recipe: Recipe
    reasons: list[str]
    probe: dict[str, Any]


def autopilot(
    manifest: Path,
    base: Recipe,
    out: Path,
    resume: bool = False,
    overwrite: bool = False,
    output: Output | None = None,
    device: str = "auto",
    cache: Path | None = None,
) -> TrainResult:
    """Probe the manifest's photos, choose stages, batches and epochs, and train.

    `base` gives the model, the augmentation and the learning rates. The choice is written to
    OUT/autopilot.json; `resume` goes on with it. Raises `DataError` without enough held-out photos
    to judge by and for a damaged autopilot.json, `ConfigError` for resuming with another `base`.
    """
    output = output or Output(quiet=True)
    paths = RunPaths(out, base.model.embed_dim)
    kept = cache or paths.cache
    path = out / "autopilot.json"
    if resume and path.exists():
        recipe = _chosen_before(path, base)
    else:
        paths.refuse_unless(overwrite)
        make_folder(out)
        choice = choose(manifest, base, out / "probe", output, device, kept)
        recipe = choice.recipe
        facts = {"reasons": choice.reasons, "probe": choice.probe}
        facts |= {"base": dataclasses.asdict(base), "recipe": dataclasses.asdict(recipe)}
        write_text_atomic(path, [json.dumps(facts, indent=1, ensure_ascii=False) + "\n"])
        for reason in choice.reasons:
            output.say(f"autopilot: {reason}")
    result = train_runs(manifest, recipe, out, resume, overwrite, output, device, kept)
    if cache is None:
        shutil.rmtree(kept, ignore_errors=True)
    return result


def _chosen_before(path: Path, base: Recipe) -> Recipe:
    """Return the recipe that was chosen for `base`; refuses a file that says otherwise."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        # An empty mapping would be a recipe too: that of the defaults.
        for key in ("recipe", *({"base"} & set(stored))):
            if not isinstance(stored[key], dict) or not stored[key]:
                raise ValueError(f"{key} holds no fields")
        recipe: Recipe = from_dict(Recipe, stored["recipe"], where="recipe")
    except (OSError, ValueError, TypeError, KeyError, ConfigError) as error:
        raise DataError(
            f"{path}: cannot be resumed, it is damaged ({error}); begin anew with --overwrite "
            "instead of --resume, or choose another --out"
        ) from None
    if "base" in stored:  # older files lack it
        same_recipe(stored["base"], base)
    return recipe


def choose(
    manifest: Path, base: Recipe, folder: Path, output: Output, device: str, cache: Path
) -> Choice:
    """Train the heads and a short probe of the unfrozen encoders in `folder`, and choose."""
    photos = [photo for photo in read_manifest(manifest) if photo.captions]
    count = sum(photo.split == "train" for photo in photos)
    judges = sum(photo.split == "val" for photo in photos)
    if judges < ENOUGH_TO_JUDGE:
        raise DataError(
            f"{manifest}: {judges} photos in the val split; the autopilot needs at least "
            f"{ENOUGH_TO_JUDGE} to judge by; split with a larger share, or name a recipe"
        )
    heads, tune = fitted(base, count)
    output.say(f"autopilot: {count} photos to learn from, {judges} to judge by")
    output.say("autopilot: probing whether training more than the heads pays")
    steps = max(1, count // min(tune.batch_size, count))
    probe = dataclasses.replace(
        tune, name="probe", epochs=math.ceil(PROBE_STEPS / steps), views=1, captions_per_image=2
    )
    # It is the encoders that are judged, not what comes after them.
    plain = dataclasses.replace(base.train, hub_prototypes=0, self_distillation=0)
    recipe = dataclasses.replace(base, stages=(heads, probe), train=plain)
    try:
        run = train(manifest, recipe, folder, False, True, output, device, cache)
        stepped = read_checkpoint(run.best).get("interpolation")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return judge(base, run.history, (heads, probe, tune), judges, stepped)


def fitted(base: Recipe, count: int) -> tuple[StageConfig, StageConfig]:
    """Return the base recipe's first and last stage with batches and epochs for `count` photos.

    Batches of at most an eighth of the photos, so that an epoch has steps to take, and for heads
    half of them: in smaller ones they lose much of their head start. Epochs such that a stage
    takes as many steps as it does on thousands of photos, within reason.
    """
    stages = []
    for stage, wanted, most, parts in (
        (base.stages[0], HEAD_STEPS, 60, 2),
        (base.stages[-1], TUNE_STEPS, 40, 8),
    ):
        size = min(stage.batch_size, max(8, 2 ** int(math.log2(max(1, count / parts)))))
        steps = max(1, count // min(size, max(1, count)))
        epochs = min(most, max(stage.epochs, math.ceil(wanted / steps)))
        stages.append(dataclasses.replace(stage, batch_size=size, epochs=epochs))
    return stages[0], stages[1]


def judge(
    base: Recipe,
    history: list[dict],
    stages: tuple[StageConfig, ...],
    judges: int,
    stepped: dict[str, Any] | None = None,
) -> Choice:
    """Return the choice that the probe's history speaks for.

    Unfreezing pays when the probe, although far too short, brings the held-out loss or the recall
    sum above what the heads reach by themselves; or when it comes close in loss by stepping back
    towards them, as the run will: `stepped` is what came of that.
    """
    heads, probe, tune = stages
    rsum = {
        stage.name: max(entry["val"]["rsum"] for entry in entries_of(history, stage))
        for stage in (heads, probe)
    }
    loss = {
        stage.name: min(entry["val"]["loss"] for entry in entries_of(history, stage))
        for stage in (heads, probe)
    }
    won = rsum["probe"] > rsum[heads.name] or loss["probe"] < loss[heads.name]
    nearly, short = False, "a short fine-tuning"
    if stepped is not None and not won:
        won, short = stepped["kept"], f"{short}, {stepped['share']:g} of its way"
        rsum["probe"], loss["probe"] = stepped["val"]["rsum"], stepped["val"]["loss"]
        nearly = not won and loss["probe"] < NEARLY * loss[heads.name]
    reasons = [
        f"held-out recall sum {rsum[heads.name]:.1f} with frozen encoders, {rsum['probe']:.1f} "
        f"after {short}; loss {loss[heads.name]:.3f} and {loss['probe']:.3f}"
    ]
    chosen: tuple[StageConfig, ...] = (heads,)
    if won or nearly:
        chosen = (heads, tune)
        reasons.append(
            f"so the last {tune.image_blocks} image blocks and {tune.text_layers} text layers are "
            f"trained too: at most {tune.epochs} epochs of batches of {tune.batch_size}"
        )
    else:
        reasons.append("so only the heads are trained: more would learn these photos by heart")
    if nearly:
        reasons.append("that near after so few steps it may still win; if not, the heads stay")
    reasons.append(
        f"heads: at most {heads.epochs} epochs of batches of {heads.batch_size}; each stage ends "
        f"after {base.train.patience} epochs without progress, and the best epoch is kept"
    )
    recipe = dataclasses.replace(base, name="auto", stages=chosen)
    return Choice(recipe, reasons, {"rsum": rsum, "loss": loss, "judges": judges})
