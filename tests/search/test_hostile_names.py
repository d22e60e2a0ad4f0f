"""File names that break things: newlines, quotes, dashes, emoji, escapes, no UTF-8."""

import os
import sys

import pytest
from colours import COLOURS, paint
from test_index_photos import counts

HOSTILE = [
    "new\nline.png",
    "quo\"te's.png",
    "-rf.png",
    "--store.png",
    "\N{CAT FACE}\u200d\N{SNOWMAN}.png",
    "<script>alert(1)</script>.png".replace("/", "_"),
    "\x1b[31mred.png",
    "%2e%2e?mode=memory#.png",
    "\u202egnp.exe.png",
    " space at both ends .png",
    "[bold]markup[_bold].png",
    "a" * 251 + ".png",
    "caf\u0065\u0301.png",
]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse some of these names")
def test_hostile_names(index, tmp_path, read, model):
    folder = tmp_path / "photos"
    folder.mkdir()
    paint(tmp_path / "plain.png", "red")
    wanted = [os.fsencode(folder) + b"/" + name for name in map(os.fsencode, HOSTILE)]
    wanted.append(os.fsencode(folder) + b"/\xff\xfe latin \xe9.png")
    for number, path in enumerate(wanted):
        picture = paint(tmp_path / "one.png", *list(COLOURS)[: number % 6 + 1], seed=number + 1)
        os.rename(os.fsencode(picture), path)
    report = index(folder)
    assert report.counts["added"] == len(wanted) and not report.skipped
    assert sorted(os.fsencode(each.path) for each in read("known")) == sorted(wanted)
    assert counts(index(folder)) == {"unchanged": len(wanted)}
    for number, path in enumerate(wanted):
        os.rename(path, os.path.join(os.path.dirname(path), b"%d \xfd\n.png" % number))
    assert counts(index(folder)) == {"moved": len(wanted)}
    # No name can forge a line of the report or steer the terminal.
    (folder / "\x1b[2Jforged\nline.jpg").write_bytes(b"torn")
    lines = "\n".join(index(folder).lines())
    assert "\x1b" not in lines and "\\x1b[2Jforged\\nline.jpg" in lines
