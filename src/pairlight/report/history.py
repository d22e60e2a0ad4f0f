"""Finds and reads the training history that lies beside a checkpoint."""

import math
import re
from pathlib import Path

from pairlight.types import Json

# What `train` calls its checkpoints. Another file in the same folder may be of another training.
_NAMES = re.compile(r"(?:best_.+|last)_(\d+)\.pth")
RECALLS = ("R@1", "R@5", "R@10")


def read_history(model: str) -> tuple[list[Json], str]:
    """Return a checkpoint's epochs, and in words where they were read or why there are none.

    `DIR/checkpoints/best_model_256.pth` has its history in `DIR/training_history_256.pth`; the
    checkpoint's own folder is looked in as well. The file is read with weights_only: code in it is
    refused. A file that is damaged or no history is told, not raised.
    """
    path = Path(model)
    named = _NAMES.fullmatch(path.name)
    if model == "pretrained" or path.is_dir():
        return [], "An exported model carries no training history; draw its checkpoint to see it."
    if not named:
        words = "is not named as training names its checkpoints, so no history is looked for."
        return [], f"{path.name} {words}"
    name = f"training_history_{named[1]}.pth"
    for folder in (path.absolute().parent.parent, path.absolute().parent):
        if (folder / name).is_file():
            history = _read(folder / name)
            if history is None:
                return [], f"{name} is there, but is damaged or no training history."
            return history, f"From {name}, which lies beside the checkpoint."
    return [], f"There is no {name} beside the checkpoint."


def _read(path: Path) -> list[Json] | None:
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        history = [_epoch(record) for record in content["history"]]
    except Exception:  # torch raises many kinds for a bad file, odd content the rest
        return None
    return history or None


def _epoch(record: Json) -> Json:
    """Return the numbers of one epoch that the report draws; odd content raises."""
    val = record.get("val")
    return {
        "stage": str(record["stage"]),
        "loss": _number(record["loss"]),
        "lr": {str(group): _number(rate) for group, rate in record["lr"].items()},
        "logit_scale": _number(record["logit_scale"]),
        "val": val
        and {
            "rsum": _number(val["rsum"]),
            "loss": _number(val.get("loss")),
            **{way: {k: _number(val[way][k]) for k in RECALLS} for way in ("i2t", "t2i")},
        },
    }


def _number(value: object) -> float | None:
    """Return `value`, or None for what is not finite; another kind raises `TypeError`."""
    if value is None:
        return None
    if not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return float(value) if math.isfinite(value) else None
