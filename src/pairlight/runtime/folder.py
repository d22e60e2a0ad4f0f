"""Reads an exported model's folder and checks each file before it is used."""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path

from pairlight.errors import ModelError
from pairlight.types import Json

FORMAT = "pairlight-model"
VERSION = 1
DESCRIPTION = "model.json"
# The names are fixed: a description cannot lead to a file elsewhere.
FILES = ("image.onnx", "text.onnx", "tokenizer.json")
# May be there as well; they change no embedding, and so not which model it is.
WORD_VECTORS = "words.npz"
EXTRAS = (WORD_VECTORS,)
_LARGEST = {DESCRIPTION: 1 << 20, "tokenizer.json": 64 << 20, WORD_VECTORS: 256 << 20}
_LARGEST_ONNX = 2 << 30
# How an ONNX file says that a tensor lies in another file, which no file of ours does.
_ELSEWHERE = b"\x0a\x08location"


@dataclass(frozen=True)
class ModelFolder:
    """An exported model's folder, whose description was read and whose files are there.

    What a file holds is checked when it is read: a search in words never reads the image tower.

    `sha256` is of the hashes of `FILES`: what was measured or calibrated later changes no
    embedding, and so not the model's identity either.
    """

    path: Path
    sha256: str
    name: str
    embed_dim: int
    image_size: int
    max_tokens: int
    pad_id: int
    logit_scale: float
    parameters: int
    hashes: dict[str, str]
    facts: Json

    def read(self, name: str) -> bytes:
        """Return the bytes of one file; raises `ModelError` unless they have the known hash."""
        content = _bytes(self.path / name)
        found = hashlib.sha256(content).hexdigest()
        if found != self.hashes[name]:
            raise ModelError(
                f"{self.path / name}: sha256 {found[:12]}… is not the {self.hashes[name][:12]}… "
                f"of {DESCRIPTION}: changed or cut short; copy the folder anew or export again"
            )
        if name.endswith(".onnx") and _ELSEWHERE in content:
            raise ModelError(f"{self.path / name}: refused: it points to data in another file")
        return content


def is_model_folder(path: Path) -> bool:
    """Return whether `path` holds a description of our format, of whatever version."""
    try:
        facts = json.loads(_bytes(path / DESCRIPTION))
    except (ModelError, ValueError, RecursionError):
        return False
    return isinstance(facts, dict) and facts.get("format") == FORMAT


def open_folder(path: Path) -> ModelFolder:
    """Return the checked folder at `path`; raises `ModelError`, in one line, for any other."""
    if not path.is_dir():
        raise ModelError(f"{path}: model folder not found; check the path")
    where = path / DESCRIPTION
    if not where.is_file():
        raise ModelError(
            f"{path}: not an exported model: it has no {DESCRIPTION}; give a folder that "
            "`pairlight export` wrote, or a checkpoint file"
        )
    content = _bytes(where)
    try:
        facts = json.loads(content)
    except (ValueError, RecursionError):
        raise ModelError(f"{where}: damaged: not a JSON object; export the model again") from None
    _check_kind(facts, where)
    hashes = _hashes(facts, where)
    folder = ModelFolder(
        path=path,
        sha256=_identity(hashes),
        name=_text(facts, "name", where),
        embed_dim=_whole(facts, "embed_dim", where, 1, 1 << 16),
        image_size=_whole(facts, "image_size", where, 8, 4096),
        max_tokens=_whole(facts, "max_tokens", where, 1, 1 << 16),
        pad_id=_whole(facts, "pad_id", where, 0, 1 << 31),
        logit_scale=_positive(facts, "logit_scale", where),
        parameters=_whole(facts, "parameters", where, 1, 1 << 50),
        hashes=hashes,
        facts=facts,
    )
    for name in hashes:
        _check_size(facts["files"][name], path / name)
    return folder


def _identity(hashes: dict[str, str]) -> str:
    known = {name: hashes[name] for name in FILES}
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def _check_kind(facts: object, where: Path) -> None:
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise ModelError(f"{where}: not the description of an exported pairlight model")
    if facts.get("version") != VERSION:
        raise ModelError(
            f"{where}: version {facts.get('version')!r} is not {VERSION}; "
            "use the pairlight that wrote it, or export the checkpoint again"
        )


def _check_size(entry: Json, path: Path) -> None:
    """Raise `ModelError` for a file that is absent or not as long as the description says."""
    size, told = _size(path), entry.get("bytes")
    if isinstance(told, int) and size != told:
        raise ModelError(
            f"{path}: {size} bytes where {DESCRIPTION} says {told}: changed or cut short; "
            "copy the folder anew or export again"
        )


def _bytes(path: Path) -> bytes:
    """Return a file's content, unless it is absent, no file, or larger than any of its kind."""
    _size(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot read: {error.strerror}") from None


def _size(path: Path) -> int:
    most = _LARGEST.get(path.name, _LARGEST_ONNX)
    try:
        if not path.is_file():
            raise ModelError(f"{path}: missing from the model folder; copy it anew or export again")
        size = path.stat().st_size
    except OSError as error:
        raise ModelError(f"{path}: cannot read: {error.strerror}") from None
    if size > most:
        raise ModelError(f"{path}: {size} bytes are more than such a file can have ({most})")
    return size


def _hashes(facts: Json, where: Path) -> dict[str, str]:
    listed = facts.get("files")
    if not isinstance(listed, dict) or set(listed) - set(EXTRAS) != set(FILES):
        others = f"and no others, but for {', '.join(EXTRAS)}"
        raise _wrong(where, "files", f"must list {', '.join(FILES)} {others}")
    found = {}
    for name, entry in listed.items():
        value = entry.get("sha256") if isinstance(entry, dict) else None
        if not isinstance(value, str) or len(value) != 64:
            raise _wrong(where, f"files.{name}.sha256", "must be 64 hexadecimal digits")
        found[name] = value
    return found


def _text(facts: Json, key: str, where: Path) -> str:
    value = facts.get(key)
    if not isinstance(value, str):
        raise _wrong(where, key, "must be text")
    return value


def _whole(facts: Json, key: str, where: Path, low: int, high: int) -> int:
    value = facts.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise _wrong(where, key, f"must be a whole number from {low} to {high}")
    return value


def _positive(facts: Json, key: str, where: Path) -> float:
    value = facts.get(key)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value <= 0:  # type: ignore[arg-type, operator]
        raise _wrong(where, key, "must be a positive number")
    return float(value)  # type: ignore[arg-type]


def _wrong(where: Path, key: str, rule: str) -> ModelError:
    return ModelError(f"{where}: {key} {rule}; the file was edited or damaged, export again")
