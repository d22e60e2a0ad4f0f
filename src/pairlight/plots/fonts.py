"""Finds installed fonts for the scripts that a text uses, or says which text they cannot draw."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from matplotlib import font_manager

BASE = "DejaVu Sans"  # ships with matplotlib, so that plain text looks alike everywhere
# Tried first, as they cover much and look well beside the base font; any other font may follow.
PREFERRED = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Microsoft YaHei", "PingFang SC",
    "Hiragino Sans GB", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "SimHei", "Noto Sans CJK JP",
    "Droid Sans Fallback", "Malgun Gothic", "Arial Unicode MS", "Noto Sans", "Segoe UI", "Arial",
)  # fmt: skip
PLACEHOLDER = "\u25a1"  # an empty box, which the base font has


@dataclass(frozen=True)
class Lettering:
    """The font families that draw a set of texts, and the characters that none of them has."""

    families: tuple[str, ...]
    missing: frozenset[str] = frozenset()

    def text(self, text: str) -> str:
        """Return `text` with an empty box for every character that no font can draw."""
        text = _flat(text)
        return "".join(PLACEHOLDER if letter in self.missing else letter for letter in text)

    def notes(self) -> list[str]:
        """Return a warning in words when characters are missing, else nothing."""
        if not self.missing:
            return []
        shown = "".join(sorted(self.missing)[:12]) + ("…" if len(self.missing) > 12 else "")
        scripts = ", ".join(sorted({_script(letter) for letter in self.missing}))
        return [
            f"no installed font draws {shown} ({scripts}); boxes stand for these characters: "
            "install a font that has them, such as Noto Sans CJK for Chinese, and draw again"
        ]


def lettering(texts: Iterable[str]) -> Lettering:
    """Return the fonts for `texts`: the base font, and others only where it lacks a character."""
    wanted = {letter for text in texts for letter in _flat(text) if not letter.isspace()}
    missing = wanted - _covered(font_manager.findfont(BASE), wanted)
    families = [BASE]
    for name, path in installed_fonts() if missing else ():
        found = _covered(path, missing)
        if found:
            families.append(name)
            missing -= found
        if not missing:
            break
    return Lettering(tuple(families), frozenset(missing))


@cache
def installed_fonts() -> tuple[tuple[str, str], ...]:
    """Return (family, file) of the installed fonts, preferred ones first."""
    known = {Path(entry.fname) for entry in font_manager.fontManager.ttflist}
    for path in font_manager.findSystemFonts():
        if Path(path) not in known:  # installed after matplotlib last listed the fonts
            try:
                font_manager.fontManager.addfont(path)
            except (OSError, RuntimeError, ValueError):
                continue  # a damaged font, or a kind that matplotlib cannot read
    # Matplotlib's Last Resort font has every character, but draws all of them as code boxes.
    entries = [e for e in font_manager.fontManager.ttflist if not e.name.startswith("Last Resort")]
    rank = {name: at for at, name in enumerate(PREFERRED)}
    entries.sort(key=lambda e: (rank.get(e.name, len(rank)), e.style != "normal", e.name, e.fname))
    return tuple((entry.name, entry.fname) for entry in entries)


def _covered(path: str, letters: set[str]) -> set[str]:
    """Return those of `letters` that the font file has a glyph for."""
    try:
        font = font_manager.get_font(path)
    except (OSError, RuntimeError):
        return set()
    return {letter for letter in letters if font.get_char_index(ord(letter))}


def _flat(text: str) -> str:
    """Return `text` on one line, without joiners and other characters that have no shape."""
    return "".join(letter for letter in " ".join(text.split()) if not _shapeless(letter))


def _shapeless(letter: str) -> bool:
    variation = 0xFE00 <= ord(letter) <= 0xFE0F  # selectors such as the emoji style of U+FE0F
    return variation or unicodedata.category(letter) in ("Cc", "Cf", "Cs")


def _script(letter: str) -> str:
    """Return a letter's script, the first word of its Unicode name, as in CJK or HANGUL."""
    if unicodedata.category(letter)[0] not in "LM":
        return "symbols"
    return unicodedata.name(letter, "unnamed").split()[0]
