"""Keeps a store's FAISS index beside it, tied to what the store holds, and says when to use it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pairlight.errors import MissingDependency, PairlightError
from pairlight.files import read_arrays, write_arrays
from pairlight.sample import sample_dir
from pairlight.search.approximate import ApproximateMatcher, Built, build, faiss_module
from pairlight.search.matcher import ExactMatcher, Matcher
from pairlight.search.records import Encoder
from pairlight.search.store import Moment, Store
from pairlight.types import Json

# Below this many distinct photos the exact product takes less than 0.1 s.
LEAST = 1_000_000
_LAYOUT = 2  # of the file: one of another layout is of no use, and made anew
MISSING = "faiss is not installed; pip install 'pairlight[faiss]'"
# What NumPy, zipfile and faiss raise for a file that is torn, or none of ours.
_UNREADABLE = (
    OSError, ValueError, KeyError, EOFError, RuntimeError, TypeError, zipfile.BadZipFile
)  # fmt: skip


def beside(store: Path) -> Path:
    """Return where the index of a store lies."""
    return store.with_name(store.name + "-faiss")


def key_of(moment: Moment) -> str:
    """Return what names the very state of a store that an index was made of."""
    model = moment.model.sha256 if moment.model else ""
    facts = f"{_LAYOUT} {model} {moment.changes} {moment.vectors.shape}"
    digest = hashlib.sha256(facts.encode())
    digest.update(np.ascontiguousarray(moment.ids).data)
    # Every write is counted; some vectors are looked at in case the file was exchanged.
    digest.update(np.ascontiguousarray(moment.vectors[::97]).data)
    return digest.hexdigest()


def save(path: Path, matcher: ApproximateMatcher, key: str) -> None:
    """Write an index, whole or not at all; raises `PairlightError`."""
    faiss = faiss_module()
    assert faiss is not None
    content, probes = faiss.serialize_index(matcher.index), np.array(matcher.probes, np.int64)
    write_arrays(path, key=np.array(key), probes=probes, index=content)


def load(path: Path, moment: Moment) -> ApproximateMatcher:
    """Return the matcher of the index at `path`.

    Raises `PairlightError`, in one line, where it cannot be used for what `moment` holds.
    """
    faiss = faiss_module()
    if faiss is None:
        raise PairlightError(MISSING)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            if str(held["key"]) != key_of(moment):
                raise PairlightError("the FAISS index is of another state of the store")
            probes = int(held["probes"])
            # Zip checks what is read against its sums: a torn file does not come this far.
            index = faiss.deserialize_index(held["index"])
    except _UNREADABLE as error:
        why = " ".join(str(error).split())[:80] or type(error).__name__
        raise PairlightError(f"{path}: the FAISS index is damaged ({why})") from None
    if index.ntotal != len(moment.vectors) or index.d != moment.vectors.shape[1]:
        raise PairlightError(f"{path}: the FAISS index is of another store")
    return ApproximateMatcher(moment.vectors, index, probes)


def chooser(
    store: Path, note: Callable[[str], None] = lambda text: None
) -> Callable[[Moment], Matcher]:
    """Return what makes the matcher of a store: by its index where that fits, else exact.

    `note` hears, in one line, why a store with an index, or a large one, is ranked exactly.
    """

    def matcher(moment: Moment) -> Matcher:
        path = beside(store)
        if path.exists():
            try:
                return load(path, moment)
            except PairlightError as error:
                note(f"{error}; ranked exactly until pairlight index has run again")
        elif len(moment.ids) >= LEAST and faiss_module() is None:
            note(f"{len(moment.ids)} photos are ranked exactly; {MISSING} and index again")
        return ExactMatcher(moment.vectors)

    return matcher


def require_faiss() -> None:
    """Raise `MissingDependency` where faiss is not installed."""
    if faiss_module() is None:
        raise MissingDependency(f"--faiss: {MISSING}")


def update(store: Store, model: Encoder, wanted: bool | None = None) -> tuple[Json | None, str]:
    """Bring the index of a store up to date; return what was built and a line, if any, about it.

    It is built for `LEAST` distinct photos or more where faiss is installed. With `wanted` False
    there shall be none; with True it is an error that faiss is missing. An index that is not kept
    is deleted: one of another state would be no use.
    """
    path = beside(store.path)
    distinct = store.distinct()
    if wanted:
        require_faiss()
    if wanted is False or distinct < LEAST or faiss_module() is None:
        _drop(path)
        few = f"no FAISS index: for fewer than {LEAST:,} distinct photos exact ranking is as quick"
        return None, few if wanted else ""
    moment = Moment.of(store)
    key = key_of(moment)
    if _is_of(path, key):
        return None, ""
    _drop(path)
    built: Built = build(moment.vectors, model.encode_texts(_texts()))
    if built.matcher is not None:
        save(path, built.matcher, key)
    return built.to_json(), built.line()


def _texts() -> list[str]:
    """Return what people say of photos, to try an index with."""
    photos = json.loads((sample_dir() / "captions.json").read_text(encoding="utf-8"))
    return [text for each in photos for text in each["captions"]]


def _is_of(path: Path, key: str) -> bool:
    held = read_arrays(path, "key")
    return held is not None and str(held["key"]) == key


def _drop(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
