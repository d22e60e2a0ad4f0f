"""The walk through folders: what is found, passed over, listed as skipped; links and loops."""

import os
import sys
from pathlib import Path

import pytest
from colours import paint

from pairlight.search import scan as module
from pairlight.search.names import glob_pattern, inside, shown
from pairlight.search.photo import HEIF_SUFFIXES, heif_reader
from pairlight.search.scan import covers, scan


def relative(found, root):
    return sorted(os.path.relpath(path, root) for path in found)


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


def test_images_are_found_in_depth_and_other_files_passed_over(tmp_path):
    for name in ("a.jpg", "B.JPEG", "x/c.png", "x/y/d.tiff", "x/z.jfif", "e.txt", "f", "x/g.mp4"):
        touch(tmp_path / name)
    found = scan(str(tmp_path))
    assert relative(found.files, tmp_path) == [
        "B.JPEG",
        "a.jpg",
        "x/c.png",
        "x/y/d.tiff",
        "x/z.jfif",
    ]
    assert found.skipped == {} and not found.unread


def test_facts_are_the_files_own(tmp_path):
    path = paint(tmp_path / "a.png", "red")
    os.utime(path, ns=(123456789, 1234567890123456789))
    (file,) = scan(str(tmp_path)).files.values()
    assert (file.size, file.mtime_ns) == (path.stat().st_size, 1234567890123456789)


@pytest.mark.parametrize(
    "name",
    [".a.jpg", "._a.jpg", ".hidden/a.jpg", "@eaDir/a.jpg", "$RECYCLE.BIN/a.jpg", "lost+found/a.jpg"]
    + ["System Volume Information/a.jpg", "__MACOSX/a.jpg", "#recycle/a.jpg", ".Trash-1000/a.jpg"],
)
def test_hidden_and_system_files_are_passed_over(tmp_path, name):
    touch(tmp_path / name)
    found = scan(str(tmp_path))
    assert not found.files and not found.skipped


def test_a_hidden_folder_named_outright_is_scanned(tmp_path):
    touch(tmp_path / ".mine" / "a.jpg")
    assert relative(scan(str(tmp_path / ".mine")).files, tmp_path) == [".mine/a.jpg"]


def test_photos_of_other_formats_are_named(tmp_path):
    for name in ("a.CR2", "b.avif", "c.jpg"):
        touch(tmp_path / name)
    found = scan(str(tmp_path))
    assert relative(found.files, tmp_path) == ["c.jpg"]
    assert relative(found.skipped, tmp_path) == ["a.CR2", "b.avif"]


@pytest.mark.parametrize("suffix", HEIF_SUFFIXES)
def test_heic_without_its_reader_is_named_with_the_way_out(tmp_path, monkeypatch, suffix):
    touch(tmp_path / f"a{suffix}")
    monkeypatch.setattr(module, "heif_reader", lambda: None)
    found = scan(str(tmp_path))
    assert not found.files and "pairlight[heic]" in found.skipped[str(tmp_path / f"a{suffix}")]
    monkeypatch.setattr(module, "heif_reader", lambda: heif_reader)
    assert relative(scan(str(tmp_path)).files, tmp_path) == [f"a{suffix}"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    touch(root / "x" / "a.jpg")
    touch(outside / "b.jpg")
    os.symlink(root, root / "x" / "loop")  # to a folder above
    os.symlink(root / "me", root / "me")  # to itself
    os.symlink(outside, root / "linked")
    os.symlink(outside / "b.jpg", root / "file.jpg")
    os.symlink(root / "nowhere.jpg", root / "dead.jpg")
    os.symlink(root / "self.jpg", root / "self.jpg")
    found = scan(str(root))
    assert relative(found.files, root) == ["file.jpg", "x/a.jpg"]
    assert relative(found.skipped, root) == ["dead.jpg", "linked", "me", "self.jpg", "x/loop"]
    assert "link to a folder" in found.skipped[str(root / "linked")]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names there")
def test_what_is_no_regular_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    found = scan(str(tmp_path))
    assert not found.files and found.skipped == {str(tmp_path / "pipe.jpg"): "not a regular file"}


def test_a_folder_seen_under_two_names_is_scanned_once(tmp_path, monkeypatch):
    touch(tmp_path / "a" / "x.jpg")
    touch(tmp_path / "b" / "x.jpg")
    original = os.stat

    def same(path, **options):
        # As when b is a bind mount of a: two names, one folder.
        return original(
            str(path).replace("/b", "/a") if str(path).endswith("/b") else path, **options
        )

    monkeypatch.setattr(module.os, "stat", same)
    found = scan(str(tmp_path))
    assert len(found.files) == 1 and len(found.skipped) == 1


@pytest.mark.parametrize(
    ("glob", "left"),
    [
        ("*.png", ["a.jpg", "sub/b.jpg", "sub/deep/c.jpg"]),
        ("sub", ["a.jpg", "d.png"]),
        ("sub/", ["a.jpg", "d.png"]),
        ("deep", ["a.jpg", "d.png", "sub/b.jpg"]),
        ("sub/*.jpg", ["a.jpg", "d.png"]),
        ("?.jpg", ["d.png"]),
        ("[ab].jpg", ["d.png", "sub/deep/c.jpg"]),
        ("b", ["a.jpg", "d.png", "sub/b.jpg", "sub/deep/c.jpg"]),
    ],
)
def test_exclude(tmp_path, glob, left):
    for name in ("a.jpg", "sub/b.jpg", "sub/deep/c.jpg", "d.png"):
        touch(tmp_path / name)
    assert relative(scan(str(tmp_path), [glob]).files, tmp_path) == left
    for name in ("sub", "sub/deep"):
        reached = any(path.startswith(name + "/") for path in left)
        assert covers(str(tmp_path), str(tmp_path / name), [glob]) or not reached


def test_globs_fit_whole_paths_and_their_ends():
    assert glob_pattern(["/photos/*"]).match("/photos/2019/a.jpg")
    assert glob_pattern(["2019/*"]).match("/photos/2019/a.jpg")
    assert not glob_pattern(["2019/*"]).match("/photos/x2019/a.jpg")
    assert not glob_pattern(["2019"]).match("/photos/2019/a.jpg")
    assert glob_pattern(["*\n*"]).match("/photos/new\nline.jpg")
    assert not glob_pattern([]).match("/photos/a.jpg")


def test_inside():
    assert inside("/a/b", "/a") and inside("/a", "/a") and inside("/a", "/")
    assert not inside("/ab", "/a") and not inside("/a", "/a/b")


def test_shown_names_are_one_safe_line():
    assert shown("caf\u00e9 \N{CAT FACE}.jpg") == "caf\u00e9 \N{CAT FACE}.jpg"
    assert shown(os.fsdecode(b"\xff.jpg")) == "\\xff.jpg"
    assert shown("a\nb\x1b\x7f\u202e\x9b") == "a\\nb\\x1b\\x7f\\u202e\\x9b"
    family = "\N{MAN}\u200d\N{WOMAN}"
    assert shown(family) == family
    assert Path(shown("x\0y")).name == "x\\x00y"
