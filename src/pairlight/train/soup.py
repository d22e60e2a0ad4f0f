"""Averages the weights of several runs into one model that scores better than each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pairlight.data.manifest import read_manifest, read_split
from pairlight.embed import pick_device
from pairlight.errors import ConfigError, DataError, ModelError
from pairlight.files import sha256_of
from pairlight.models.checkpoint import model_of, read_checkpoint, save_checkpoint
from pairlight.models.hubs import without_hubs
from pairlight.output import Output
from pairlight.train.hubs import correct_hubs
from pairlight.train.validate import validate
from pairlight.types import Photo

Weights = dict[str, torch.Tensor]


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
) -> Soup:
    """Average checkpoints of one model as long as the rsum on `split` rises, and save to `out`.

    Greedy soup (Wortsman et al. 2022, "Model soups"): the best alone comes first, each next one
    stays if the average with it is better. Averages make sense for runs that set out from the
    same weights (`train --init`). With `image_size` the result looks at photos of so many pixels a
    side, and is judged so; larger photos than the views of training can help (Touvron et al. 2019),
    one checkpoint too. `hub_prototypes`, by default the first run's, is the size of the correction
    of hubs that is fitted to the result and kept where it helps; corrections of the runs are put
    aside. Raises `ConfigError` for fewer than two different files, `ModelError` for checkpoints
    of different models and for an encoder that does not take the size.
    """
    output = output or Output(quiet=True)
    if out.exists():
        raise ConfigError(f"{out}: exists already; choose another --out, or remove it")
    one_will_do = image_size is not None or hub_prototypes is not None
    contents = _contents(paths, one_will_do, output)
    photos, split = read_split(manifest, split)
    photos = [photo for photo in photos if photo.captions]
    if not photos:
        raise DataError(f"{manifest}: no photo of split {split} has a caption")
    size, bank = _hubs_wanted(contents[0], manifest, hub_prototypes)
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
    trial = correct_hubs(model, (bank, photos), size, device, output) if size else None
    if trial is not None and trial.kept:
        best = trial.after
    elif hub_prototypes and len(paths) == 1 and image_size is None:
        raise ModelError(f"{paths[0]}: no correction of hubs helps it on {split}; nothing written")
    chosen = [paths[n] for n in taken]
    facts = {key: contents[order[0]].get(key) for key in ("recipe_name", "recipe", "data_hash")}
    parts = [{"file": path.name, "sha256": sha256_of(path)} for path in chosen]
    save_checkpoint(out, model.cpu(), **facts, val=best, soup=parts)
    rsums = {str(path): val["rsum"] for path, val in zip(paths, alone, strict=True)}
    return Soup(chosen, rsums, best)


def _hubs_wanted(
    first: dict[str, Any], manifest: Path, count: int | None
) -> tuple[int, list[Photo]]:
    """Return the prototypes asked for, or else of the first run's recipe, and photos to fit to."""
    size = count
    if size is None:
        size = (first.get("recipe") or {}).get("train", {}).get("hub_prototypes", 0)
    if not size:
        return 0, []
    # Not read_manifest(manifest, "train"): that refuses a manifest without one.
    bank = [photo for photo in read_manifest(manifest) if photo.split == "train"]
    if count and not any(photo.captions for photo in bank):
        raise DataError(f"{manifest}: --hub-prototypes needs a train split with captions")
    return size, bank


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
            "a soup needs two different checkpoints, or one and --image-size or --hub-prototypes"
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
