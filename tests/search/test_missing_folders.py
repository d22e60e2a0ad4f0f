"""Photos of what is out of reach stay: absent folders, empty mount points, unreadable folders."""

import os
import shutil

from colours import paint
from test_index_photos import counts, names

from pairlight.search import plan as plan_module
from pairlight.search import scan as scan_module


def test_an_absent_folder_keeps_its_photos_until_told_otherwise(index, photos, tmp_path, read):
    other = tmp_path / "usb"
    paint(other / "yellow.png", "yellow")
    index(photos, other)
    shutil.move(other, tmp_path / "unplugged")
    report = index(photos, other)
    assert report.kept[0]["folder"] == str(other) and report.kept[0]["photos"] == 1
    assert "disk" in report.kept[0]["reason"] and "yellow.png" in names(read)
    assert any("kept 1 photo of" in line for line in report.lines())
    shutil.move(tmp_path / "unplugged", other)
    assert counts(index()) == {"unchanged": 6}  # no folder named: those of the store
    shutil.rmtree(other)
    assert counts(index(photos, other, prune=True)) == {"deleted": 1, "unchanged": 5}
    assert read("roots") == [str(photos)]


def test_an_empty_mount_point_keeps_its_photos(index, photos, read):
    index(photos)
    for path in sorted(photos.rglob("*.png")):
        path.unlink()
    report = index(photos)
    assert report.counts["deleted"] == 0 and read("count") == 5
    assert report.kept[0]["photos"] == 5
    index(photos, prune=True)
    assert read("count") == 0


def test_a_disk_unmounted_within_a_folder_keeps_its_photos(index, photos, read, monkeypatch):
    sea = str(photos / "sea")
    original = scan_module.scan

    def as_mounted(root, exclude):
        found = original(root, exclude)
        found.mounts.add(sea)
        return found

    monkeypatch.setattr(plan_module, "scan", as_mounted)
    index(photos)
    assert sea in read("mounts")
    monkeypatch.undo()
    shutil.rmtree(sea)
    (photos / "sea").mkdir()
    report = index(photos)
    assert report.counts["deleted"] == 0 and read("count") == 5
    assert report.kept == [{"folder": sea, "photos": 3, "reason": report.kept[0]["reason"]}]
    assert sea in read("mounts")


def test_a_folder_that_cannot_be_read_keeps_its_photos(index, photos, read, monkeypatch):
    index(photos)
    original = os.scandir

    def closed(path):
        if str(path).endswith("sea"):
            raise PermissionError(13, "Permission denied")
        return original(path)

    monkeypatch.setattr(scan_module.os, "scandir", closed)
    report = index(photos)
    assert report.counts["deleted"] == 0 and read("count") == 5
    assert report.kept[0]["folder"] == str(photos / "sea")
    assert "Permission denied" in report.skipped[str(photos / "sea")]
