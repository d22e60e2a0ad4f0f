"""Finds the image files that captions name, below one folder and never outside it."""

import os
import re
import unicodedata
from collections import defaultdict
from pathlib import Path, PurePosixPath

from pairlight.errors import DataError
from pairlight.imaging import SUFFIXES

ABSENT = "absent"
AMBIGUOUS = "ambiguous"
OUTSIDE = "outside"


Index = dict[str, list[str]]


def as_path(name: str) -> PurePosixPath:
    """Return a name as a path; Windows' separators count."""
    return PurePosixPath(re.sub(r"[\\/]+", "/", name) if "\\" in name else name)


def as_written(path: PurePosixPath) -> str:
    """Return the path as names are compared: in composed characters (NFC)."""
    # Some systems store an accent apart from its letter in file names, captions rarely do.
    return unicodedata.normalize("NFC", path.as_posix())


def _any_case(path: PurePosixPath) -> str:
    return as_written(path)[: -len(path.suffix) or None] + path.suffix.lower()


def stem(path: PurePosixPath) -> str:
    """Return the path as written, without the extension of an image."""
    return as_written(path.with_suffix("") if has_suffix(path) else path)


def has_suffix(path: PurePosixPath) -> bool:
    """Whether the path has an extension of images."""
    return path.suffix.lower() in SUFFIXES


# The ways to compare names, the strictest first; `stem` is for names without an extension.
KEYS = (as_written, _any_case, stem)


class ImageFolder:
    """The image files below a folder, hidden ones left out, to be looked up by name.

    `files` lists their paths relative to the folder, sorted. Raises `DataError` when the folder
    is missing or holds none.
    """

    def __init__(self, root: Path | str):
        self.root = Path(root)
        if not self.root.is_dir():
            raise DataError(f"{root}: images folder not found; check the path")
        self.files = sorted(_walk(self.root))
        if not self.files:
            raise DataError(f"{root}: no image files here ({', '.join(SUFFIXES)})")
        # One index a way to look: whole paths and bare names, each by every key of `KEYS`.
        self._paths: list[Index] = [defaultdict(list) for _ in KEYS]
        self._names: list[Index] = [defaultdict(list) for _ in KEYS]
        for file in self.files:
            path = PurePosixPath(file)
            for key, paths, names in zip(KEYS, self._paths, self._names, strict=True):
                paths[key(path)].append(file)
                names[key(PurePosixPath(path.name))].append(file)

    def resolve(self, names: list[str]) -> tuple[dict[str, str], dict[str, str]]:
        """Return the file of each name that has one, and why each other name has none.

        Both map names to text: to a path relative to the folder; to ABSENT, AMBIGUOUS, OUTSIDE.
        """
        found: dict[str, str] = {}
        lost: dict[str, str] = {}
        claims: dict[str, list[tuple[str, bool]]] = defaultdict(list)
        for name in names:
            file, why = self.find(name)
            if file is None:
                lost[name] = why
            else:
                claims[file].append((name, why == "path"))
        for file, claimants in claims.items():
            exact = [name for name, by_path in claimants if by_path]
            # x/1.jpg and y/1.jpg both fit a lone 1.jpg: whose captions are these? Nobody guesses.
            winners = exact if exact or len(claimants) > 1 else [claimants[0][0]]
            for name, _ in claimants:
                if name in winners:
                    found[name] = file
                else:
                    lost[name] = AMBIGUOUS
        return found, lost

    def find(self, name: str) -> tuple[str | None, str]:
        """Return the file that `name` means and how it was found (path or name), or None and why.

        Tried in order: the relative path, the path without its leading folders, the base name;
        each as written, then with the extension's case ignored, then, for a name without an
        image extension, with any.
        """
        path = as_path(name)
        if path.is_absolute():
            root = Path(os.path.abspath(self.root))
            if not Path(path).is_relative_to(root):
                return None, OUTSIDE
            path = PurePosixPath(Path(path).relative_to(root).as_posix())
        if ".." in path.parts:
            return None, OUTSIDE
        for start in range(max(1, len(path.parts) - 1)):
            files = _look_up(self._paths, PurePosixPath(*path.parts[start:]))
            if len(files) == 1:
                return files[0], "path" if start == 0 else "name"
        files = files or _look_up(self._names, PurePosixPath(path.name))
        if len(files) == 1:
            return files[0], "name"
        return None, AMBIGUOUS if files else ABSENT


def _look_up(indexes: list[Index], path: PurePosixPath) -> list[str]:
    for key, index in zip(KEYS, indexes, strict=True):
        if (key is not stem or not has_suffix(path)) and (files := index.get(key(path))):
            return files
    return []


def _walk(root: Path) -> list[str]:
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                found.append((Path(folder) / name).relative_to(root).as_posix())
    return found
