"""Averages the weights of several runs into one model that scores better than each."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pairlight.config import Recipe
from pairlight.data.manifest import read_manifest, read_split
from pairlight.embed import pick_device
from pairlight.errors import ConfigError, DataError, ModelError
from pairlight.files import make_folder, sha256_of
from pairlight.models.checkpoint import model_of, read_checkpoint, save_checkpoint
from pairlight.models.hubs import without_hubs
from pairlight.output import Output
from pairlight.recipes import from_dict
from pairlight.train.finish import finish_model
from pairlight.train.validate import validate
from pairlight.types import Photo

Weights = dict[str, torch.Tensor]
_NAMES = {
    "start": "step back to the start",
    "self_distillation": "self-distillation",
    "hub_prototypes": "correction of hubs",
}


@dataclass(frozen=True)
class Soup:
    """What went into a soup: the checkpoints taken, in order, and what it scores."""

    taken: list[Path]
    alone: dict[str, float]
    val: dict[str, Any]


def greedy_soup(
    paths: Sequence[Path],
    manifest: Path,
    out: Path,
    split: str = "val",
    device: str = "auto",
    output: Output | None = None,
    image_size: int | None = None,
    hub_prototypes: int | None = None,
    self_distillation: int | None = None,
    start: Path | None = None,
) -> Soup:
    """Average checkpoints of one model as long as the rsum on `split` rises, and save to `out`.

    Greedy soup (Wortsman et al. 2022, "Model soups"): the best alone comes first, each next one
    stays if the average with it is better. Averages make sense for runs that set out from the
    same weights (`train --init`). With `start`, a checkpoint with the image encoder that they set
    out from, the result's is put between the two, where it does best. With `image_size` the result
    looks at photos of so many pixels a side, and is judged so; larger photos than the views of
    training can help (Touvron et al. 2019). For each of these options one checkpoint will do.
    `self_distillation`, by default the first run's, is the number of epochs in
    which the result learns from its own several looks at the training photos, and `hub_prototypes`,
    by default the first run's, the size of the correction of hubs that is fitted last; each is kept
    where it helps, and corrections of the runs are put aside. Raises `ConfigError` for fewer than
    two different files, `ModelError` for checkpoints of different models and for an encoder that
    does not take the size, `PairlightError` where the folder of `out` cannot be written to.
    """
    output = output or Output(quiet=True)
    if out.exists():
        raise ConfigError(f"{out}: exists already; choose another --out, or remove it")
    asked = {"hub_prototypes": hub_prototypes, "self_distillation": self_distillation}
    one_will_do = {image_size, start, *asked.values()} != {None}
    contents = _contents(paths, one_will_do, output)
    before = _start_of(start, paths[0], contents[0]) if start else None
    photos, split = _judges(manifest, split)
    recipe = _finishing(contents[0], paths[0], asked)
    bank = _bank(manifest, recipe, asked)
    make_folder(out.parent)  # now, not when all is scored and there is nowhere to write it
    config = contents[0]["model"] | ({"image_size": image_size} if image_size else {})
    model = model_of(contents[0] | {"model": config}, paths[0])
    device = pick_device(device)
    model.to(device)

    def score(weights: Weights) -> dict[str, Any]:
        model.load_state_dict(weights)
        return validate(model, photos, device, output)

    weights = [content["state_dict"] for content in contents]
    alone = [score(each) for each in weights]
    for path, val in zip(paths, alone, strict=True):
        output.say(f"{path}: rsum {val['rsum']:.1f}")
    order = sorted(range(len(paths)), key=lambda n: -alone[n]["rsum"])
    taken, best = order[:1], alone[order[0]]
    for candidate in order[1:]:
        val = score(mean([weights[n] for n in [*taken, candidate]]))
        kept = val["rsum"] > best["rsum"]
        output.say(f"with {paths[candidate]}: rsum {val['rsum']:.1f}, {'kept' if kept else 'left'}")
        if kept:
            taken, best = [*taken, candidate], val
    model.load_state_dict(mean([weights[n] for n in taken]))
    val = finish_model(model, (bank, photos), recipe, device, output, before)
    if val is not None:
        best = val
    elif (start or any(asked.values())) and len(paths) == 1 and image_size is None:
        names = [_NAMES[key] for key in filter((asked | {"start": start}).get, _NAMES)]
        raise ModelError(
            f"{paths[0]}: no {' and no '.join(names)} helps it on {split}; nothing written"
        )
    chosen = [paths[n] for n in taken]
    shared = ("recipe_name", "recipe", "data_hash", "class_names")
    facts = {key: contents[order[0]].get(key) for key in shared}
    parts = [{"file": path.name, "sha256": sha256_of(path)} for path in chosen]
    save_checkpoint(out, model.cpu(), **facts, val=best, soup=parts)
    rsums = {str(path): val["rsum"] for path, val in zip(paths, alone, strict=True)}
    return Soup(chosen, rsums, best)


def _judges(manifest: Path, split: str) -> tuple[list[Photo], str]:
    """Return the photos of a split that have captions, and the split's name."""
    photos, split = read_split(manifest, split)
    if not (captioned := [photo for photo in photos if photo.captions]):
        raise DataError(f"{manifest}: no photo of split {split} has a caption")
    return captioned, split


def _start_of(start: Path, first: Path, wanted: dict[str, Any]) -> Weights:
    """Return the weights of the image encoder in the checkpoint that runs set out from."""
    (content,) = _contents([start], True, Output(quiet=True))
    _same_model(first, wanted, start, content)
    part = "image_encoder."
    weights = content["state_dict"].items()
    return {name.removeprefix(part): each for name, each in weights if name.startswith(part)}


def _finishing(first: dict[str, Any], path: Path, asked: dict[str, int | None]) -> Recipe:
    """Return the first run's recipe, with what is asked for in place of its own."""
    given = {key: value for key, value in asked.items() if value is not None}
    try:
        recipe: Recipe = from_dict(Recipe, first.get("recipe") or {}, where=str(path))
        return dataclasses.replace(recipe, train=dataclasses.replace(recipe.train, **given))
    except ConfigError as error:
        raise ModelError(str(error)) from None


def _bank(manifest: Path, recipe: Recipe, asked: dict[str, int | None]) -> list[Photo]:
    """Return the training photos that finishing needs; none where nothing needs them."""
    if not (recipe.train.hub_prototypes or recipe.train.self_distillation):
        return []
    # Not read_manifest(manifest, "train"): that refuses a manifest without one.
    bank = [photo for photo in read_manifest(manifest) if photo.split == "train"]
    if asked["hub_prototypes"] and not any(photo.captions for photo in bank):
        raise DataError(f"{manifest}: --hub-prototypes needs a train split with captions")
    if asked["self_distillation"] and not bank:
        raise DataError(f"{manifest}: --self-distillation needs a train split")
    return bank


def mean(weights: Sequence[Weights]) -> Weights:
    """Return the average of state dicts with the same names and shapes."""
    return {
        name: torch.stack([each[name].float() for each in weights]).mean(0).to(first.dtype)
        for name, first in weights[0].items()
    }


def _contents(paths: Sequence[Path], one_will_do: bool, output: Output) -> list[dict[str, Any]]:
    """Return what the checkpoints hold, all of one model, without corrections of hubs."""
    contents = [read_checkpoint(path) for path in paths]
    if len({path.resolve() for path in paths}) < 2 and not one_will_do:
        raise ConfigError(
            "a soup needs two different checkpoints, or one and --start, --image-size, "
            "--hub-prototypes or --self-distillation"
        )
    for path, content in zip(paths, contents, strict=True):
        plain = without_hubs(content["state_dict"])
        if len(plain) < len(content["state_dict"]):
            output.say(f"{path}: its correction of hubs is put aside")
        content["state_dict"] = plain
        _same_model(paths[0], contents[0], path, content)
    return contents


def _same_model(first: Path, wanted: dict, path: Path, found: dict) -> None:
    shapes = [
        {name: tensor.shape for name, tensor in each["state_dict"].items()}
        for each in (wanted, found)
    ]
    same = wanted["tokenizer"] == found["tokenizer"] and wanted["model"] == found["model"]
    if not same or shapes[0] != shapes[1]:
        raise ModelError(f"{path}: is another model than {first}; a soup needs runs of one recipe")
