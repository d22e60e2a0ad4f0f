"""Draws the contact sheet: the worst of each finding, photos with a few words, by Pillow alone."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from pairlight.errors import DataError
from pairlight.files import write_atomic
from pairlight.imaging import open_image
from pairlight.types import Json

INK, FAINT, BOX, PAPER = "#222222", "#707070", "#E4E4E4", "#FFFFFF"
WIDTH, EDGE, GAP = 1280, 24, 16
THUMB = 190
_LINES = 4
# Tried in this order where Pillow's own font lacks a letter; Pillow looks in the system's folders.
_FONTS = (
    "DejaVuSans.ttf", "NotoSansCJK-Regular.ttc", "NotoSansSC-Regular.otf", "wqy-zenhei.ttc",
    "wqy-microhei.ttc", "DroidSansFallbackFull.ttf", "msyh.ttc", "PingFang.ttc", "malgun.ttf",
    "Arial Unicode.ttf", "arial.ttf",
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One or two photos, each with a line under it, and words below them."""

    photos: tuple[tuple[str, str], ...]
    words: str


@dataclass(frozen=True)
class Section:
    """One finding: a heading, what it means, and its worst cases."""

    heading: str
    meaning: str
    cells: tuple[Cell, ...]


def draw_sheet(title: str, sections: Sequence[Section], path: Path) -> None:
    """Write the contact sheet as PNG; a photo that cannot be opened is a grey box.

    Cells of one photo stand four to a row, cells of two photos two."""
    blocks = [_heading(title, 26, INK), *(b for each in sections for b in _section(each))]
    height = 2 * EDGE + sum(block.height + GAP for block in blocks)
    sheet = Image.new("RGB", (WIDTH, height), PAPER)
    top = EDGE
    for block in blocks:
        sheet.paste(block, (EDGE, top))
        top += block.height + GAP
    write_atomic(path, lambda aside: sheet.save(aside, "PNG"))


def _section(section: Section) -> Iterator[Image.Image]:
    yield _heading(section.heading, 20, INK)
    yield _heading(section.meaning, 15, FAINT)
    across = 2 if any(len(cell.photos) > 1 for cell in section.cells) else 4
    width = (WIDTH - 2 * EDGE - (across - 1) * GAP) // across
    for start in range(0, len(section.cells), across):
        some = [_cell(cell, width) for cell in section.cells[start : start + across]]
        row = Image.new("RGB", (WIDTH - 2 * EDGE, max(cell.height for cell in some)), PAPER)
        for n, cell in enumerate(some):
            row.paste(cell, (n * (width + GAP), 0))
        yield row


def _heading(text: str, size: int, color: str) -> Image.Image:
    return _words(text, size, color, WIDTH - 2 * EDGE, 3)


def _cell(cell: Cell, width: int) -> Image.Image:
    each = (width - (len(cell.photos) - 1) * GAP) // len(cell.photos)
    parts = [(_photo(path, each), _words(label, 13, FAINT, each, 2)) for path, label in cell.photos]
    words = _words(cell.words, 15, INK, width, _LINES)
    below = max(label.height for _, label in parts)
    image = Image.new("RGB", (width, THUMB + below + words.height + 8), PAPER)
    for n, (photo, label) in enumerate(parts):
        image.paste(photo, (n * (each + GAP), 0))
        image.paste(label, (n * (each + GAP), THUMB + 4))
    image.paste(words, (0, THUMB + below + 6))
    return image


def _photo(path: str, width: int) -> Image.Image:
    """Return the photo in a box (width x THUMB), at its left."""
    box = Image.new("RGB", (width, THUMB), PAPER)
    try:
        photo = open_image(path, THUMB)
    except DataError:
        grey = Image.new("RGB", (width, THUMB), BOX)
        ImageDraw.Draw(grey).text((width // 2, THUMB // 2), "cannot be opened", FAINT,
                                  _font(15, ""), anchor="mm")  # fmt: skip
        return grey
    scale = min(width / photo.width, THUMB / photo.height)
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    box.paste(photo.resize(size, Image.Resampling.LANCZOS), (0, 0))
    return box


def _words(text: str, size: int, color: str, width: int, most: int) -> Image.Image:
    """Return text broken to `width` pixels, at most `most` lines; what is left over becomes …."""
    font = _font(size, text)
    lines = list(_wrap(" ".join(text.split()), lambda part: font.getlength(part), width))
    if len(lines) > most:
        lines = [*lines[: most - 1], lines[most - 1].rstrip()[:-1] + "…"]
    step = round(size * 1.35)
    image = Image.new("RGB", (width, step * max(1, len(lines)) + 2), PAPER)
    pen = ImageDraw.Draw(image)
    for n, line in enumerate(lines):
        pen.text((0, n * step), line, color, font)
    return image


def _wrap(text: str, length: Callable[[str], float], width: int) -> Iterator[str]:
    """Yield lines no longer than `width`, parted at spaces, or in a word that is too long."""
    line = ""
    for letter in text:
        if length(line + letter) > width:
            head, space, tail = line.rpartition(" ")
            cut = bool(space) and letter != " "
            yield head if cut else line
            line = tail if cut else ""
        if line or letter != " ":
            line += letter
    if line:
        yield line


@cache
def _fonts(size: int) -> tuple[ImageFont.FreeTypeFont, ...]:
    found = []
    for load in (lambda: ImageFont.load_default(size), *map(_loader(size), _FONTS)):
        try:
            found.append(load())
        except OSError:
            continue
    return tuple(font for font in found if isinstance(font, ImageFont.FreeTypeFont))


def _loader(size: int) -> Callable[[str], Callable[[], ImageFont.FreeTypeFont]]:
    return lambda name: lambda: ImageFont.truetype(name, size)


def _font(size: int, text: str):
    """Return the first font that draws most letters of `text`; what it lacks becomes boxes."""
    fonts = _fonts(size) or (ImageFont.load_default(),)
    letters = {letter for letter in text if not letter.isspace()}
    return max(fonts, key=lambda font: sum(_has(font, letter) for letter in letters))


def _has(font, letter: str) -> bool:
    # What a font lacks it draws as its box, as it does for a code point that is no character.
    return ord(letter) < 128 or bytes(font.getmask(letter)) != bytes(font.getmask("\U0010ffff"))


def sections_of(
    findings: Iterable[tuple[str, str, list[Json]]], files: dict[str, str], most: int
) -> list[Section]:
    """Return a section for each (kind, meaning, items) that photos can show, `most` cells each."""
    made = []
    for kind, meaning, items in findings:
        cells = [cell for item in items[:most] if (cell := _cell_of(item, files))]
        if cells:
            heading = f"{kind.replace('_', ' ')}: {len(items)}"
            made.append(Section(heading, meaning, tuple(cells)))
    return made


def _cell_of(item: Json, files: dict[str, str]) -> Cell | None:
    """Return what to show of one finding; `files` gives the file of each image_id."""
    ids = item.get("image_ids") or [item[key] for key in ("image_id", "better_image_id")
                                    if item.get(key)]  # fmt: skip
    splits = item.get("splits") or [None] * len(ids)
    labels = [f"{name} ({split})" if split else name
              for name, split in zip(ids, splits, strict=False)]  # fmt: skip
    if "better_image_id" in item:
        labels = [f"has it: {ids[0]}", f"fits better: {ids[1]}"]
    photos = [(files[name], label) for name, label in zip(ids, labels, strict=False)][:2]
    return Cell(tuple(photos), words_of_item(item, len(ids))) if photos else None


def words_of_item(item: Json, photos: int = 1) -> str:
    """Return what one finding says, apart from where it is."""
    parts = []
    if "caption" in item:
        parts.append(f"“{item['caption']}”")
    if photos > 2:
        parts.append(f"{photos} photos")
    for key in ("how", "problem", "times", "language", "brightness", "contrast", "z", "cosine"):
        if item.get(key) is not None:
            parts.append(f"{key} {item[key]}" if key not in ("problem",) else str(item[key]))
    if "width" in item:
        parts.append(f"{item['width']} x {item['height']} pixels")
    if "doubt" in item:
        parts.append(f"own {item['own_score']:.1f}, better {item['better_score']:.1f}, "
                     f"doubt {item['doubt']:.1f}")  # fmt: skip
    return ", ".join(parts)
