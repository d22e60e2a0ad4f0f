"""Saves and loads checkpoints that need nothing but themselves, and never run code."""

import dataclasses
import zipfile
from pathlib import Path
from typing import Any

import torch

from pairlight.config import ModelConfig
from pairlight.errors import ConfigError, ModelError
from pairlight.files import write_atomic
from pairlight.models.dual_encoder import DualEncoder
from pairlight.models.image_encoders import build_image_encoder
from pairlight.models.text_encoders import rebuild_text_encoder
from pairlight.recipes import from_dict

FORMAT = "pairlight-checkpoint"
VERSION = 1


def save_checkpoint(path: Path, model: DualEncoder, **extra: Any) -> None:
    """Write `model` and plain-valued `extra` to `path`, aside first, then renamed.

    The file holds the weights, the model's configuration, the text encoder's configuration and
    its tokenizer.
    """
    content = {
        "format": FORMAT,
        "version": VERSION,
        "model": dataclasses.asdict(model.config),
        "text_config": _plain(model.text_encoder.config),
        "tokenizer": model.text_encoder.tokenizer,
        "state_dict": {key: value.detach().cpu() for key, value in model.state_dict().items()},
        **extra,
    }
    write_atomic(path, lambda aside: torch.save(content, aside))


def _plain(value: Any) -> Any:
    """Turn a configuration into what weights_only loading admits."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def read_checkpoint(path: Path, embed_dim: int | None = None) -> dict[str, Any]:
    """Return the content of a checkpoint file, checked; code in a pickle is refused, not run.

    `embed_dim`, when given, must be the checkpoint's.
    """
    if not path.exists():
        raise ModelError(f"{path}: checkpoint not found; check the path, or train one")
    if path.is_dir() or not zipfile.is_zipfile(path):
        raise ModelError(
            f"{path}: not a pairlight checkpoint, or cut short; train again, or copy it anew"
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a bad file
        reason = str(error).strip().split("\n")[0][:100]
        raise ModelError(
            f"{path}: refused: damaged, or holds code instead of plain weights ({reason})"
        ) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ModelError(f"{path}: not a pairlight checkpoint; expected one that train wrote")
    if content.get("version") != VERSION:
        raise ModelError(
            f"{path}: checkpoint version {content.get('version')} is not {VERSION}; "
            "use the pairlight that wrote it"
        )
    kinds = {"model": dict, "text_config": dict, "tokenizer": str, "state_dict": dict}
    for key, kind in kinds.items():
        if not isinstance(content.get(key), kind):
            raise ModelError(f"{path}: not a whole checkpoint: {key} is missing or damaged")
    found = content["model"].get("embed_dim")
    if embed_dim is not None and found != embed_dim:
        raise ModelError(f"{path}: its embed_dim is {found}, not the {embed_dim} asked for")
    return content


def load_checkpoint(path: Path, embed_dim: int | None = None) -> tuple[DualEncoder, dict[str, Any]]:
    """Return the model of a checkpoint in evaluation mode, and the checkpoint's content."""
    content = read_checkpoint(path, embed_dim)
    return model_of(content, path), content


def extra_of(content: dict[str, Any]) -> dict[str, Any]:
    """Return what a checkpoint's content has besides the model, as `save_checkpoint` takes it."""
    parts = ("format", "version", "model", "text_config", "tokenizer", "state_dict")
    return {key: value for key, value in content.items() if key not in parts}


def model_of(content: dict[str, Any], path: Path) -> DualEncoder:
    """Return the model, in evaluation mode, of what `read_checkpoint` gave for `path`."""
    try:
        config: ModelConfig = from_dict(ModelConfig, content["model"], where=str(path))
    except ConfigError as error:
        raise ModelError(str(error)) from None
    image = build_image_encoder(config.image_encoder, config.image_size, pretrained=False)
    text = rebuild_text_encoder(content["text_config"], content["tokenizer"])
    model = DualEncoder(config, image, text)
    _make_room_for_hubs(model, content["state_dict"])
    try:
        model.load_state_dict(content["state_dict"])
    except RuntimeError as error:
        reason = str(error).split("\n")[1].strip()[:160]
        raise ModelError(f"{path}: its weights do not fit its configuration: {reason}") from None
    return model.eval()


def _make_room_for_hubs(model: DualEncoder, weights: dict[str, Any]) -> None:
    biases = [weights.get(f"{tower}_hubs.linear.bias") for tower in ("image", "text")]
    counts = [bias.numel() - model.config.embed_dim + 2 for bias in biases if bias is not None]
    # Else the weights do not fit, and loading them says so.
    if len(counts) == 2 and min(counts) > 0:
        model.make_room_for_hubs(*counts)
