"""Reads every caption format into Pair records, one reader a format."""

import csv
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from pairlight.data.json_sources import read_coco, read_json_list, read_jsonl, read_karpathy
from pairlight.data.reading import Reading
from pairlight.data.sniff import FLICKR_LINE, Table, detect_format, read_header, read_text
from pairlight.errors import DataError, choose
from pairlight.imaging import SUFFIXES
from pairlight.types import Pair

# One quoted or one plain cell of a well-formed table row.
_CELL = r'(?:"(?:[^"]|"")*"|[^"{d}\n]*)'
_LONGEST_QUOTED_CELL = 50  # lines


def read_captions(path: Path | str, format: str = "auto") -> Reading:
    """Read a caption file, or a folder of text files, in the named format or the one detected.

    Raises `DataError` when nothing can be read from it, `ConfigError` for an unknown format.
    Single bad lines are noted in the result's `problems`.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: captions file not found; check the path")
    reader = choose({"auto": None, **FORMATS}, format, "caption format")
    if reader is None:
        format = detect_format(path)
        reader = FORMATS[format]
    if path.is_dir() != (format == "sidecars"):
        kind = "folder" if path.is_dir() else "file"
        raise DataError(f"{path}: is a {kind}, which --format {format} does not read")
    reading = Reading(path=path, format=format)
    reading.pairs.extend(reader(path, reading))
    if not reading.pairs:
        first = f"; the first problem: {reading.problems[0]}" if reading.problems else ""
        raise DataError(f"{path}: no captions found, read as {format}{first}")
    return reading


def read_flickr8k(path: Path, reading: Reading) -> Iterator[Pair]:
    """Yield pairs of `name.jpg#0<TAB>caption` lines, or `name.jpg#zhc#0 caption` ones."""
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        source = f"{path}:{number}"
        match = FLICKR_LINE.fullmatch(line)
        if match is None:
            reading.problem(source, "not NAME#NUMBER<TAB>CAPTION")
            continue
        yield reading.pair(match["image"].strip(), match["caption"] or "", source)


def read_table(path: Path, reading: Reading) -> Iterator[Pair]:
    """Yield pairs of a table with a header: comma, tab, bar or semicolon between columns.

    Captions in the last column may hold delimiters unquoted, as Kaggle's `captions.txt` does.
    """
    lines = read_text(path).split("\n")
    start = next(n for n, line in enumerate(lines) if line.strip())
    table = read_header(lines[start], path)
    for number, row in _rows(lines, start + 1, table.delimiter):
        if not row.strip():
            continue
        source = f"{path}:{number}"
        try:
            cells = _cells(row, table)
        except csv.Error as error:
            reading.problem(source, f"not a table row: {error}")
            continue
        if len(cells) != len(table.columns):
            reading.problem(source, f"{len(cells)} columns, the header has {len(table.columns)}")
            continue
        image = cells[table.image].strip()
        if not image:
            reading.problem(source, "no image name")
            continue
        if table.split is not None:
            reading.note_split(image, cells[table.split].strip())
        for place in table.captions:
            for caption in _captions_of(cells[place]):
                yield reading.pair(image, caption, source)


def read_sidecars(path: Path, reading: Reading) -> Iterator[Pair]:
    """Yield pairs of a folder of `.txt` files named like their images, one caption a line."""
    files = sorted(file for file in path.rglob("*.txt") if file.is_file())
    if not files:
        raise DataError(f"{path}: no .txt files in this folder; one per image is expected")
    for file in files:
        image = file.relative_to(path).with_suffix("").as_posix()
        try:
            lines = read_text(file).split("\n")
        except DataError as error:
            reading.problems.append(str(error))
            continue
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield reading.pair(image, line, f"{file}:{number}")


def _rows(lines: list[str], start: int, delimiter: str) -> Iterator[tuple[int, str]]:
    """Yield (line number, row), joining lines that a quoted cell holds together.

    A stray quote must not swallow the rows after it: when no end is found before what looks like
    the next row, the line stands alone.
    """
    image_first = re.compile(
        rf"[^{re.escape(delimiter)}\n]+({'|'.join(map(re.escape, SUFFIXES))})\"?\s*"
        + re.escape(delimiter),
        re.IGNORECASE,
    )
    at = start
    while at < len(lines):
        end = at + 1
        if lines[at].count('"') % 2:
            quotes = lines[at].count('"')
            while quotes % 2 and end < min(len(lines), at + _LONGEST_QUOTED_CELL):
                if image_first.match(lines[end]):
                    break
                quotes += lines[end].count('"')
                end += 1
            if quotes % 2:
                end = at + 1
        yield at + 1, "\n".join(lines[at:end])
        at = end


def _cells(row: str, table: Table) -> list[str]:
    """Split one row into cells; what is too much goes to the last cell where that is a caption."""
    delimiter, width = table.delimiter, len(table.columns)
    cell = _CELL.format(d=re.escape(delimiter))
    if re.fullmatch(f"{cell}(?:{re.escape(delimiter)}{cell})*", row.replace("\n", " ")):
        cells = next(csv.reader([row.replace("\n", " ")], delimiter=delimiter))
        if len(cells) <= width:
            return cells
    last_is_caption = table.captions == (width - 1,)
    cells = row.replace("\n", " ").split(delimiter, width - 1 if last_is_caption else -1)
    return [_unquote(cell) for cell in cells]


def _unquote(cell: str) -> str:
    text = cell.strip()
    if re.fullmatch(r'"(?:[^"]|"")*"', text):
        return text[1:-1].replace('""', '"')
    return cell


def _captions_of(cell: str) -> list[str]:
    """Return the captions in a cell: itself, or the texts of a JSON list."""
    if cell.lstrip().startswith("["):
        try:
            texts = json.loads(cell)
        except (ValueError, RecursionError):  # no JSON, or absurd JSON: thousands of digits
            return [cell]
        if all(isinstance(text, str) for text in texts):
            return texts
    return [cell]


Reader = Callable[[Path, Reading], Iterator[Pair]]
FORMATS: dict[str, Reader] = {
    "flickr8k": read_flickr8k,
    "kaggle": read_table,
    "csv": read_table,
    "tsv": read_table,
    "karpathy": read_karpathy,
    "coco": read_coco,
    "json": read_json_list,
    "jsonl": read_jsonl,
    "sidecars": read_sidecars,
}
