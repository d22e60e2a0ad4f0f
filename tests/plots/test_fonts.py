"""Tests that texts in any script are drawn, or said to be missing a font."""

import warnings

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from pairlight.plots import fonts
from pairlight.plots.canvas import columns_of, wrap
from pairlight.plots.gallery import plot_text_to_image


@pytest.fixture
def no_fonts(monkeypatch):
    """A machine with no font but the base one."""
    monkeypatch.setattr(fonts, "installed_fonts", lambda: ())


def font_with(letters, family, path):
    """Write a font in which each of `letters` is a filled square."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for point in ((0, 900), (900, 900), (900, 0)):
        pen.lineTo(point)
    pen.closePath()
    square = pen.glyph()
    names = [".notdef", *(f"u{ord(letter):X}" for letter in letters)]
    builder = FontBuilder(1000)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap(dict(zip(map(ord, letters), names[1:], strict=True)))
    builder.setupGlyf(dict.fromkeys(names, square))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=900, usWinAscent=900, usWinDescent=100)
    builder.setupPost()
    builder.save(path)


def test_plain_text_needs_the_base_font_alone():
    chosen = fonts.lettering(["a dog", "Zoë's café", "собака"])
    assert chosen == fonts.Lettering(("DejaVu Sans",))
    assert chosen.text("a dog") == "a dog"
    assert chosen.notes() == []


def test_a_script_without_a_font_still_draws_and_is_said(no_fonts, tmp_path, photos, drawn):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib's own "glyph missing" must not come as well
        notes = plot_text_to_image("一只狗 runs", photos[:1], [0.5], tmp_path / "q.png")
    drawn(tmp_path / "q.png")
    assert len(notes) == 1
    assert "狗" in notes[0] and "CJK" in notes[0] and "install a font" in notes[0]
    assert fonts.lettering(["一只狗 runs"]).text("一只狗 runs") == "□□□ runs"


def test_an_installed_font_is_found_and_used(tmp_path, monkeypatch, photos, drawn):
    font_with("狗只", "Test Squares", tmp_path / "squares.ttf")
    known = list(font_manager.fontManager.ttflist)
    monkeypatch.setattr(font_manager.fontManager, "ttflist", known)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(tmp_path / "squares.ttf")])
    monkeypatch.setattr(
        fonts,
        "installed_fonts",
        lambda found=fonts.installed_fonts.__wrapped__: [
            each for each in found() if each[0] == "Test Squares"
        ],
    )
    chosen = fonts.lettering(["狗 and 猫"])
    assert chosen.families == ("DejaVu Sans", "Test Squares")
    assert chosen.missing == {"猫"}
    assert plot_text_to_image("狗只狗只", photos[:1], [0.5], tmp_path / "with.png") == []
    monkeypatch.setattr(fonts, "installed_fonts", lambda: ())
    plot_text_to_image("狗只狗只", photos[:1], [0.5], tmp_path / "without.png")
    heading = [drawn(tmp_path / name)[20:50] for name in ("with.png", "without.png")]
    dark = [int(np.sum(pixels < 128)) for pixels in heading]
    assert dark[0] > 2 * dark[1]  # filled squares of the font against the outlines of boxes


def test_a_damaged_font_file_is_passed_over(tmp_path, monkeypatch):
    bad = tmp_path / "bad.ttf"
    bad.write_bytes(b"no font")
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(bad)])
    assert str(bad) not in [path for _, path in fonts.installed_fonts.__wrapped__()]
    monkeypatch.setattr(fonts, "installed_fonts", lambda: [("Bad", str(bad))])
    assert fonts.lettering(["狗"]).missing == {"狗"}


def test_characters_without_a_shape_are_left_out(no_fonts):
    chosen = fonts.lettering(["a\u200b dog\ufe0f\nruns"])
    assert chosen.text("a\u200b dog\ufe0f\nruns") == "a dog runs"
    assert not chosen.missing


@pytest.mark.parametrize(
    ("text", "columns", "lines", "wrapped"),
    [
        ("a short one", 20, 2, "a short one"),
        ("two lines of words", 10, 2, "two lines\nof words"),
        ("far too many words for it", 10, 2, "far too\nmany…"),
        ("一二三四五六", 4, 3, "一二\n三四\n五六"),
        ("unbreakableword", 6, 3, "unbrea\nkablew\nord"),
        ("", 10, 2, ""),
    ],
)
def test_wrapping(text, columns, lines, wrapped):
    assert wrap(text, columns, lines) == wrapped
    assert all(columns_of(line) <= columns for line in wrapped.split("\n"))
