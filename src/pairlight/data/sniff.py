"""Reads caption files as UTF-8 text and tells their format by what is in them."""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pairlight.errors import DataError, require_file
from pairlight.imaging import SUFFIXES

# name.jpg#0<TAB>caption, and the Chinese variant name.jpg#zhc#0 caption
# The name must end in an extension: a caption may hold "#1" as well.
FLICKR_LINE = re.compile(r"(?P<image>.+?\.[\w.]+)#(?:[A-Za-z]+#)?\d+(?:\s+(?P<caption>.*))?")
IMAGE_COLUMNS = (
    "image",
    "image_path",
    "image_name",
    "image_file",
    "image_filename",
    "img",
    "img_path",
    "file",
    "file_name",
    "filename",
    "file_path",
    "filepath",
    "path",
    "photo",
)
CAPTION_COLUMNS = (
    "caption",
    "captions",
    "text",
    "description",
    "comment",
    "sentence",
    "sentences",
    "raw",
    "alt_text",
)
SPLIT_COLUMNS = ("split",)
_DELIMITERS = {"\t": "tsv", ",": "csv", "|": "csv", ";": "csv"}


@dataclass(frozen=True)
class Table:
    """The header of a table: its delimiter, its columns, and which hold what (by position)."""

    delimiter: str
    columns: tuple[str, ...]
    image: int
    captions: tuple[int, ...]
    split: int | None


def read_text(path: Path) -> str:
    """Return a caption file's text with `\\n` line ends and no byte order mark.

    Raises `DataError` when it is missing, empty or not UTF-8.
    """
    try:
        data = require_file(path, "captions file").read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot read: {error.strerror}") from None
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(_convert(path, "UTF-16 text", "UTF-16"))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = f"not UTF-8 text (byte {error.start}, line {line})"
        raise DataError(_convert(path, what, _likely_encoding(data))) from None
    if "\0" in text[:4096]:
        raise DataError(f"{path}: not a text file; captions are UTF-8 text")
    if not text.strip():
        raise DataError(f"{path}: the captions file is empty")
    # Not splitlines() later: it also cuts at characters that may stand inside a caption.
    return text.replace("\r\n", "\n").replace("\r", "\n")


def detect_format(path: Path) -> str:
    """Return the name of the caption format of a file or folder, judged by its content.

    Raises `DataError` when none fits, with what was found and what was looked for.
    """
    if path.is_dir():
        return "sidecars"
    text = read_text(path)
    start = text.lstrip()
    if start.startswith("["):
        return "json"
    if start.startswith("{"):
        return _detect_json(start)
    head = [line for line in text[:100_000].split("\n") if line.strip()][:10]
    if any(FLICKR_LINE.fullmatch(line) for line in head[:3]):
        return "flickr8k"
    table = read_header(head[0], path)
    if table.delimiter == "," and table.columns == ("image", "caption"):
        return "kaggle"
    return _DELIMITERS[table.delimiter]


def read_header(line: str, path: Path) -> Table:
    """Return what the first line of a table says of its columns.

    Raises `DataError` listing the columns found and looked for when the image's or the
    caption's column is not there.
    """
    for delimiter in sorted(_DELIMITERS, key=line.count, reverse=True):
        columns = tuple(column_name(cell) for cell in line.split(delimiter))
        image = next((columns.index(name) for name in IMAGE_COLUMNS if name in columns), None)
        captions = tuple(place for place, name in enumerate(columns) if holds_captions(name))
        if image is not None and captions:
            split = next((columns.index(name) for name in SPLIT_COLUMNS if name in columns), None)
            return Table(delimiter, columns, image, captions, split)
    delimiter = max(_DELIMITERS, key=line.count)
    found = [column_name(cell) for cell in line.split(delimiter)]
    if any(cell.endswith(SUFFIXES) for cell in found):
        raise DataError(f"{path}: no header line; make `image,caption` its first line")
    raise DataError(
        f"{path}: no image and caption columns; found: {_shorten(', '.join(found))}; "
        f"looked for one of {', '.join(IMAGE_COLUMNS)} "
        f"and one of {', '.join(CAPTION_COLUMNS)}"
    )


def _detect_json(start: str) -> str:
    """Tell COCO and Karpathy from JSON Lines without parsing what may be 100 MB."""
    first, _, rest = start.partition("\n")
    try:
        json.loads(first)
        one_line_is_whole = True
    except (ValueError, RecursionError):  # the reader says what is wrong, and where
        one_line_is_whole = False
    if one_line_is_whole and rest.strip():
        return "jsonl"
    if '"images"' in start and '"sentences"' in start:
        return "karpathy"
    if '"images"' in start or '"annotations"' in start:
        return "coco"
    return "jsonl" if one_line_is_whole or rest.lstrip().startswith("{") else "json"


@lru_cache(1000)  # JSON Lines ask for the same few keys on every line
def column_name(cell: str) -> str:
    """Return a header's cell, or a JSON key, as columns are compared: `File Name` is file_name."""
    return re.sub(r"[\s-]+", "_", cell.strip().strip('"').strip().lower())


def holds_captions(name: str) -> bool:
    """Whether a column of this name holds captions; it may be numbered, as caption_1 is."""
    return re.sub(r"_?\d+$", "", name) in CAPTION_COLUMNS


def _likely_encoding(data: bytes) -> str:
    sample = data[:1_000_000]
    try:
        decoded = sample.decode("gb18030", errors="strict")
    except UnicodeDecodeError:
        return "WINDOWS-1252"
    return "GB18030" if re.search(r"[\u4e00-\u9fff]{2}", decoded) else "WINDOWS-1252"


def _convert(path: Path, what: str, encoding: str) -> str:
    return (
        f"{path}: {what}; captions must be UTF-8, convert them, for instance with: "
        f"iconv -f {encoding} -t UTF-8 {path.name} > utf8_{path.name}"
    )


def _shorten(text: str) -> str:
    return text if len(text) <= 120 else text[:117] + "..."
