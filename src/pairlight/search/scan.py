"""Walks photo folders: finds image files, passes over hidden ones, follows no links to folders."""

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field

from pairlight.imaging import SUFFIXES
from pairlight.search.names import glob_pattern, slashes
from pairlight.search.photo import HEIF_SUFFIXES, NO_HEIF, UNREAD_SUFFIXES, heif_reader
from pairlight.search.records import Found

# What systems and servers keep for themselves: bins, thumbnails, snapshots, archive leftovers.
SYSTEM_FOLDERS = frozenset(
    ("$recycle.bin", "#recycle", "#snapshot", "@eadir", "__macosx", "lost+found", "recycler")
    + ("system volume information",)
)


@dataclass
class Scan:
    """What a walk found.

    `skipped` tells for each path that looks like a photo or a folder why it was left out;
    `unread` are folders that could not be listed, `mounts` those on which another disk is mounted.
    """

    files: dict[str, Found] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)
    mounts: set[str] = field(default_factory=set)

    def update(self, other: "Scan") -> None:
        """Add what another walk found."""
        self.files.update(other.files)
        self.skipped.update(other.skipped)
        self.unread |= other.unread
        self.mounts |= other.mounts


def scan(root: str, exclude: Sequence[str] = ()) -> Scan:
    """Return the photos below `root` (absolute), in depth; nothing that goes wrong ends it.

    Links to files count as files. Links to folders are not followed, so no loop can arise: they
    are listed as skipped, and what they lead to can be a root of its own.
    """
    excluded = glob_pattern(exclude)
    found = Scan()
    device = _device(root)
    if device != _device(os.path.dirname(root)):
        found.mounts.add(root)
    waiting = [(root, device)]
    seen: set[tuple[int, int]] = set()  # A bind mount can lead back to a folder above it.
    while waiting:
        folder, device = waiting.pop()
        try:
            here = os.stat(folder)
            if (here.st_dev, here.st_ino) in seen and here.st_ino:
                found.skipped[folder] = "folder was seen already under another name"
                continue
            seen.add((here.st_dev, here.st_ino))
            if here.st_dev != device:
                found.mounts.add(folder)
            with os.scandir(folder) as entries:
                for entry in entries:
                    if not _hidden(entry) and not _excluded(entry.path, root, excluded):
                        _look(entry, found, waiting, here.st_dev)
        except OSError as error:
            found.unread.add(folder)
            found.skipped[folder] = f"folder cannot be read: {error.strerror}"
    return found


def covers(root: str, folder: str, exclude: Sequence[str]) -> bool:
    """Whether a scan of `root` would come through `folder` below it."""
    excluded = glob_pattern(exclude)
    at = root
    for name in os.path.relpath(folder, root).split(os.sep):
        at = os.path.join(at, name)
        if hidden_name(name) or _excluded(at, root, excluded):
            return False
    return True


def hidden_name(name: str) -> bool:
    """Whether a file or folder is hidden or a system's own, going by its name."""
    return name.startswith(".") or name.lower() in SYSTEM_FOLDERS


def _look(entry: os.DirEntry, found: Scan, waiting: list[tuple[str, int]], device: int) -> None:
    """Put one entry of a folder where it belongs."""
    try:
        if entry.is_dir(follow_symlinks=False):
            waiting.append((entry.path, device))
            return
        if entry.is_dir():
            found.skipped[entry.path] = "link to a folder; index the folder it leads to by its name"
            return
        suffix = os.path.splitext(entry.name)[1].lower()
        if suffix in UNREAD_SUFFIXES:
            found.skipped[entry.path] = f"{suffix[1:]} files are not read; convert it to JPEG"
        elif suffix in HEIF_SUFFIXES and heif_reader() is None:
            found.skipped[entry.path] = NO_HEIF
        elif suffix in SUFFIXES or suffix in HEIF_SUFFIXES:
            facts = entry.stat()
            if stat.S_ISREG(facts.st_mode):
                found.files[entry.path] = Found.of(entry.path, facts)
            else:
                found.skipped[entry.path] = "not a regular file"
    except OSError as error:
        found.skipped[entry.path] = f"cannot read: {error.strerror}"


def _hidden(entry: os.DirEntry) -> bool:
    if hidden_name(entry.name):
        return True
    if os.name != "nt":
        return False
    attributes = getattr(entry.stat(follow_symlinks=False), "st_file_attributes", 0)
    return bool(attributes & (stat.FILE_ATTRIBUTE_HIDDEN | stat.FILE_ATTRIBUTE_SYSTEM))


def _excluded(path: str, root: str, pattern: re.Pattern[str]) -> bool:
    return bool(pattern.match(slashes(os.path.relpath(path, root))))


def _device(path: str) -> int:
    try:
        return os.stat(path).st_dev
    except OSError:
        return -1
