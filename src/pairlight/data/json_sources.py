"""Reads the caption formats that are JSON: Karpathy, COCO, lists of objects, JSON Lines."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pairlight.data.reading import Reading
from pairlight.data.sniff import (
    CAPTION_COLUMNS,
    IMAGE_COLUMNS,
    column_name,
    holds_captions,
    read_text,
)
from pairlight.errors import DataError
from pairlight.types import Json, Pair


def read_karpathy(path: Path, reading: Reading) -> Iterator[Pair]:
    """Yield pairs of Karpathy's `dataset_*.json`, whose splits are kept.

    Source: Karpathy and Fei-Fei, 2015, Deep Visual-Semantic Alignments.
    """
    for number, entry in enumerate(_list_in(_load(path), "images", path, "karpathy")):
        source = f"{path}:images[{number}]"
        name, sentences = _get(entry, "filename"), _get(entry, "sentences")
        if not isinstance(name, str) or not name or not isinstance(sentences, list):
            reading.problem(source, "no filename or no sentences")
            continue
        folder = entry.get("filepath")
        image = f"{folder}/{name}" if isinstance(folder, str) and folder else name
        reading.note_split(image, entry.get("split"))
        coco_id = entry.get("cocoid")
        image_id = None if coco_id is None else str(coco_id)
        for place, sentence in enumerate(sentences):
            text = _get(sentence, "raw")
            if isinstance(text, str):
                yield reading.pair(image, text, f"{source}.sentences[{place}]", image_id)
            else:
                reading.problem(f"{source}.sentences[{place}]", "no raw text")


def read_coco(path: Path, reading: Reading) -> Iterator[Pair]:
    """Yield pairs of COCO's `captions_*.json`: its images and the annotations that name them.

    Source: Chen et al., 2015, Microsoft COCO Captions.
    """
    raw = _load(path)
    names: dict[Any, str] = {}
    for number, entry in enumerate(_list_in(raw, "images", path, "coco")):
        name, image_id = _get(entry, "file_name"), _get(entry, "id")
        if isinstance(name, str) and name and isinstance(image_id, int | str):
            names[image_id] = name
        else:
            reading.problem(f"{path}:images[{number}]", "no file_name or no id")
    annotations = _list_in(raw, "annotations", path, "coco")
    if annotations and not any("caption" in entry for entry in annotations if type(entry) is dict):
        raise DataError(f"{path}: its annotations have no captions; take a captions_*.json file")
    for number, entry in enumerate(annotations):
        source = f"{path}:annotations[{number}]"
        image_id, text = _get(entry, "image_id"), _get(entry, "caption")
        if not isinstance(text, str):
            reading.problem(source, "no caption")
        elif not isinstance(image_id, int | str) or image_id not in names:
            reading.problem(source, f"image_id {image_id!r} is not among its images")
        else:
            yield reading.pair(names[image_id], text, source, str(image_id))


def read_json_list(path: Path, reading: Reading) -> Iterator[Pair]:
    """Yield pairs of a JSON list of objects: `[{"file_name": ..., "captions": [...]}]`."""
    raw = _load(path)
    if not isinstance(raw, list):
        raise DataError(f"{path}: not a JSON list of objects; {_looked_for()}")
    for number, entry in enumerate(raw):
        yield from _entry(entry, f"{path}:[{number}]", reading)


def read_jsonl(path: Path, reading: Reading) -> Iterator[Pair]:
    """Yield pairs of JSON Lines: one object a line, with the keys of a JSON list or a manifest."""
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            source = f"{path}:{number}"
            try:
                entry = _parse(line, path, number)
            except DataError as error:
                reading.problems.append(str(error))
                continue
            yield from _entry(entry, source, reading)


def _entry(entry: Any, source: str, reading: Reading) -> Iterator[Pair]:
    if not isinstance(entry, dict):
        reading.problem(source, "not an object")
        return
    named = [(column_name(key), value) for key, value in entry.items()]
    values = dict(reversed(named))  # the first wins, as of columns of one name
    image_key = next((key for key in IMAGE_COLUMNS if key in values), None)
    captions = [(key, texts) for key, texts in named if holds_captions(key)]
    if image_key is None or not captions:
        found = ", ".join(map(str, entry)) or "none"
        reading.problem(source, f"no image or caption; keys found: {found}; {_looked_for()}")
        return
    image = values[image_key]
    if not isinstance(image, str) or not image:
        reading.problem(source, f"{image_key} must be text")
        return
    reading.note_split(image, values.get("split"))
    image_id = entry.get("image_id", entry.get("id"))
    image_id = None if image_id is None else str(image_id)
    # Tables written as JSON fill up rows with nulls: caption_5 of an image that has four.
    filled = [(key, texts) for key, texts in captions if texts is not None]
    for key, texts in filled or captions[:1]:
        for text in _texts(key, texts, source, reading):
            yield reading.pair(image, text, source, image_id)


def _texts(key: str, texts: Any, source: str, reading: Reading) -> Iterator[str]:
    """Yield the captions under one key, a text or a list of them; note what is neither."""
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list):
        reading.problem(source, f"{key} must be a text or a list of them")
        return
    for text in texts:
        if isinstance(text, str):
            yield text
        else:
            reading.problem(source, "a caption is not text")


def _load(path: Path) -> Any:
    return _parse(read_text(path), path)


def _parse(text: str, path: Path, line: int = 1) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        at = line + error.lineno - 1
        raise DataError(
            f"{path}: invalid JSON at line {at}, column {error.colno}: {error.msg}"
        ) from None
    except RecursionError:
        raise DataError(f"{path}: invalid JSON: too deeply nested") from None
    except ValueError as error:  # a number of thousands of digits
        raise DataError(f"{path}: invalid JSON at line {line}: {error}") from None


def _get(entry: Any, key: str) -> Any:
    return entry.get(key) if isinstance(entry, dict) else None


def _list_in(raw: Any, key: str, path: Path, format: str) -> list[Json]:
    found = raw.get(key) if isinstance(raw, dict) else None
    if not isinstance(found, list):
        keys = ", ".join(map(str, raw)) if isinstance(raw, dict) else type(raw).__name__
        raise DataError(f"{path}: {format} JSON has a list {key!r}; found: {keys}")
    return found


def _looked_for() -> str:
    return f"looked for one of {', '.join(IMAGE_COLUMNS)} and one of {', '.join(CAPTION_COLUMNS)}"
