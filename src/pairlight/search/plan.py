"""Decides what an index run has to do: which photos are new, changed, gone or to be kept."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from pairlight.errors import ConfigError, DataError
from pairlight.search.names import inside, shown
from pairlight.search.records import Found, Known
from pairlight.search.scan import Scan, covers, scan
from pairlight.search.store import Store
from pairlight.types import Json

_WAY_OUT = "connect its disk, or drop its photos with --prune"


@dataclass
class Plan:
    """What a run has to do.

    `todo` are files to read, `unchanged` counts those that need not be; `gone` are photos whose
    file is no longer there. `missing` and `unread` tell for folders that cannot be looked at now
    why their photos stay; `elsewhere` are folders within a root that are roots of their own.
    `forgotten` are roots to drop.
    """

    roots: list[str]
    scan: Scan
    todo: list[Found] = field(default_factory=list)
    known: dict[str, Known] = field(default_factory=dict)
    unchanged: int = 0
    gone: list[Known] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    elsewhere: set[str] = field(default_factory=set)
    forgotten: list[str] = field(default_factory=list)

    def untouched(self, path: str) -> bool:
        """Whether a path lies where this run did not look."""
        looked = any(inside(path, root) for root in self.roots)
        closed = (*self.missing, *self.unread, *self.elsewhere)
        return not looked or any(inside(path, folder) for folder in closed)

    def kept(self) -> list[Json]:
        """Return each folder whose photos stay unseen: how many they are, and why."""
        found = []
        for folder, reason in {**self.unread, **self.missing}.items():
            photos = sum(inside(path, folder) for path in self.known)
            if photos:
                found.append({"folder": folder, "photos": photos, "reason": reason})
        return found


def make_plan(
    store: Store,
    folders: Sequence[str],
    exclude: Sequence[str],
    embedded: set[int],
    prune: bool,
) -> Plan:
    """Scan `folders` and compare them with the store.

    A known photo counts as unchanged when its size and modification time are the stored ones and
    its content is among `embedded`. Raises `DataError` for a folder that never was there.
    """
    known = {each.path: each for each in store.known()}
    present, absent = sort_folders(folders, store.roots())
    plan = Plan(present, Scan(), known=known)
    for root in present:
        found = scan(root, exclude)
        _keep_what_is_out_of_reach(plan, store, root, found, exclude)
        plan.scan.update(found)
    plan.missing.update((root, f"folder not found; {_WAY_OUT}") for root in absent)
    if prune:
        plan.forgotten, plan.missing = absent, {}
    _compare(plan, embedded)
    return plan


def sort_folders(folders: Sequence[str], indexed: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the real paths of folders that are there and of known ones that are not.

    Raises `DataError` for one that is neither; without `folders` the known ones are meant.
    """
    present: list[str] = []
    absent: list[str] = []
    for given in folders or indexed:
        if not given:
            raise DataError("an empty name is no folder; name one to index")
        root = os.path.realpath(given)
        if os.path.isdir(root):
            present.append(root)
        elif os.path.exists(root):
            raise DataError(f"{shown(given)}: not a folder; index takes folders of photos")
        elif root in indexed:
            absent.append(root)
        else:
            raise DataError(f"{shown(given)}: folder not found; check the path")
    if not present and not absent:
        raise ConfigError("no folder given, and none in the store yet; name one to index")
    return list(dict.fromkeys(present)), list(dict.fromkeys(absent))


def _keep_what_is_out_of_reach(
    plan: Plan, store: Store, root: str, found: Scan, exclude: Sequence[str]
) -> None:
    """Note folders below `root` whose photos say nothing by their absence."""
    plan.unread.update((folder, found.skipped[folder]) for folder in found.unread)
    for folder in store.mounts():
        if not inside(folder, root) or folder in found.mounts:
            continue
        if folder == root or covers(root, folder, exclude):
            plan.missing[folder] = f"no disk is mounted here now; {_WAY_OUT}"
    if not found.files and root not in plan.unread:
        # Somebody's whole collection, or the empty place where its disk is mounted at times; but
        # where all that is known here is excluded now, that nothing is found means nothing.
        if any(inside(path, root) and covers(root, path, exclude) for path in plan.known):
            plan.missing.setdefault(root, f"folder holds no photos now; {_WAY_OUT}")
    for other in store.roots():
        # Hidden or excluded here, but indexed by its own name: only that name touches it.
        if other in plan.roots or not inside(other, root):
            continue
        if not covers(root, other, exclude):
            plan.elsewhere.add(other)


def _compare(plan: Plan, embedded: set[int]) -> None:
    """Fill `todo`, `unchanged` and `gone`."""
    for path, file in plan.scan.files.items():
        photo = plan.known.get(path)
        same = photo is not None and (photo.size, photo.mtime_ns) == (file.size, file.mtime_ns)
        if photo is not None and same and photo.content in embedded:
            plan.unchanged += 1
        else:
            plan.todo.append(file)
    plan.todo.sort(key=lambda file: os.fsencode(file.path))
    for path, photo in plan.known.items():
        if any(inside(path, root) for root in plan.forgotten):
            plan.gone.append(photo)
        # What is there but cannot be looked at (a dead link, HEIC without its reader) stays.
        elif path not in plan.scan.files and path not in plan.scan.skipped:
            if not plan.untouched(path):
                plan.gone.append(photo)
