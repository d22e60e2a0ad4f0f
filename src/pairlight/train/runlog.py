"""Records a run: log.jsonl, TensorBoard, and what it ran on and with."""

import hashlib
import json
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from pairlight.types import Photo

PACKAGES = ("pairlight", "torch", "torchvision", "timm", "transformers", "tokenizers", "numpy")


def data_hash(photos: Sequence[Photo]) -> str:
    """Return a sha256 over ids, image bytes' hashes, captions and splits, in order."""
    digest = hashlib.sha256()
    for photo in photos:
        line = [photo.image_id, photo.sha256, list(photo.captions), photo.split]
        # A caption cut within an emoji ends in half a surrogate pair; to the tokenizer it is a "?".
        text = json.dumps(line, ensure_ascii=False).encode("utf-8", "surrogatepass")
        digest.update(text + b"\n")
    return digest.hexdigest()


def environment() -> dict[str, Any]:
    """Return package versions, the machine, and the source's git commit where there is one."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "packages": versions,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "git_commit": _git_commit(),
    }


def _git_commit() -> str | None:
    here = Path(__file__).parent
    command = ["git", "-C", str(here), "rev-parse", "HEAD"]
    try:
        # An installed package may lie in somebody else's repository: ask whether git tracks us.
        tracked = ["git", "-C", str(here), "ls-files", "--error-unmatch", "runlog.py"]
        subprocess.run(tracked, check=True, capture_output=True, timeout=10)
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def epoch_scalars(entry: dict[str, Any]) -> dict[str, float]:
    """Return the numbers of one epoch's entry under TensorBoard names."""
    scalars = {"epoch/loss": entry["loss"], "epoch/logit_scale": entry["logit_scale"]}
    scalars |= {f"rate/{part}": rate for part, rate in entry["lr"].items()}
    if entry["val"]:
        scalars["val/rsum"] = entry["val"]["rsum"]
        scalars |= {f"val/{way}_R@1": entry["val"][way]["R@1"] for way in ("i2t", "t2i")}
    return scalars


def epoch_line(entry: dict[str, Any]) -> str:
    """Return one epoch's entry in one line for people."""
    line = f"loss {entry['loss']:.3f}"
    if entry["val"]:
        i2t, t2i = entry["val"]["i2t"], entry["val"]["t2i"]
        line += f"  val R@1 {i2t['R@1']:.1f} i2t {t2i['R@1']:.1f} t2i"
        line += f"  rsum {entry['val']['rsum']:.1f}"
    return line + f"  {entry['seconds']:.0f} s  {entry['images_per_second']:.0f} images/s"


class RunLog:
    """Appends events to `log.jsonl`, one JSON object a line, and scalars to TensorBoard."""

    def __init__(self, folder: Path, board: Path):
        from torch.utils.tensorboard import SummaryWriter

        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / "log.jsonl").open("a", encoding="utf-8")
        self._board = SummaryWriter(str(board))

    def event(self, name: str, **fields: Any) -> None:
        """Write one event with its time (seconds since 1970)."""
        line = {"event": name, "time": round(time.time(), 3), **fields}
        self._file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
        self._file.flush()

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Send named numbers to TensorBoard."""
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Close both."""
        self._file.close()
        self._board.close()
