"""Finds the photos of a manifest that official lists name, by the rules of `prepare`."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from pairlight.data.locate import KEYS, as_path, as_written, has_suffix, stem
from pairlight.data.reading import bare_name
from pairlight.types import Photo


def find_listed(names: Iterable[str], photos: Sequence[Photo]) -> dict[str, int]:
    """Return the position in `photos` of each name that means one of them, and one alone.

    A name is a path that the image's ends with, or an id; without a suffix it takes any. Where no
    photo fits, its leading folders are passed over, unless another name fits that photo better.
    """
    index = _Names(photos)
    found: dict[str, int] = {}
    guesses: dict[int, list[str]] = defaultdict(list)
    for name in names:
        places, whole = index.find(name)
        if len(places) == 1 and whole:
            found[name] = places[0]
        elif len(places) == 1:
            guesses[places[0]].append(name)
    taken = set(found.values())
    for place, claimants in guesses.items():
        # y/1.jpg may have been left out of the manifest: x/1.jpg, listed itself, is not it.
        if place not in taken and len(claimants) == 1:
            found[claimants[0]] = place
    return found


class _Names:
    def __init__(self, photos: Sequence[Photo]):
        self._photos = photos
        self._ids = {photo.image_id: place for place, photo in enumerate(photos)}
        self._folders: list[tuple[str, ...]] = []
        # By the file's name, alone and below its folder: names may be few, as where each folder
        # has its 1.jpg, and to try every photo of a name would take minutes.
        self._names: list[dict[str, list[int]]] = [defaultdict(list) for _ in KEYS]
        for place, photo in enumerate(photos):
            path = PurePosixPath(photo.image.as_posix())
            self._folders.append(_folders(path))
            for key, names in zip(KEYS, self._names, strict=True):
                for last in (1, 2):
                    names[key(PurePosixPath(*path.parts[-last:]))].append(place)

    def find(self, name: str) -> tuple[list[int], bool]:
        """Return the photos that `name` may mean, and whether all of the name fits them."""
        path = as_path(name)
        places = self._ending_with(path)
        # 1.jpg means the photo in the folder itself, although a/1.jpg ends with it, too.
        ids = (name, bare_name(name))
        places = [place for place in places if self._photos[place].image_id in ids] or places
        by_id = self._ids.get(name)
        if by_id is not None and by_id not in places:
            places = [*places, by_id]
        if places or ".." in path.parts:
            return places, True
        for start in range(1, len(path.parts)):
            if places := self._ending_with(PurePosixPath(*path.parts[start:])):
                break
        return places, False

    def _ending_with(self, path: PurePosixPath) -> list[int]:
        folders = _folders(path)
        for key, names in zip(KEYS, self._names, strict=True):
            if key is stem and has_suffix(path):
                continue
            places = names.get(key(PurePosixPath(*path.parts[-2:])), [])
            if len(folders) > 1:
                places = [each for each in places if self._folders[each][-len(folders) :] == folders]
            if places:
                return places
        return []


def _folders(path: PurePosixPath) -> tuple[str, ...]:
    return PurePosixPath(as_written(path.parent)).parts
