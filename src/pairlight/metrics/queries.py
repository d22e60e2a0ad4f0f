"""Keeps, query by query, what a paired comparison of two evaluations needs, and reads it back."""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pairlight.errors import DataError, require_file
from pairlight.types import Embeddings, Json


@dataclass(frozen=True)
class Results:
    """An evaluation read back from its JSON: ranks `i2t` (n,), `t2i` (m,), and `owner` (m,)."""

    path: Path
    model: Json
    split: str
    sha256: str
    i2t: np.ndarray
    t2i: np.ndarray
    owner: np.ndarray


def query_record(embeddings: Embeddings, i2t: np.ndarray, t2i: np.ndarray) -> Json:
    """Return the ranks with what they are ranks of, ready for JSON.

    `i2t` (n,) and `t2i` (m,) as `retrieval.ranks` gives them. `sha256` is of ids, captions and
    owners in order: equal hashes mean the same queries in the same gallery. It is None for
    embeddings that come without ids or captions, as then nobody can tell.
    """
    ids, captions = list(embeddings.image_ids), list(embeddings.captions)
    owner = embeddings.owner.tolist()
    known = len(ids) == len(i2t) and len(captions) == len(t2i)
    text = json.dumps([ids, captions, owner])  # escapes what is not ASCII, lone surrogates too
    return {
        "sha256": hashlib.sha256(text.encode()).hexdigest() if known else None,
        "image_ids": ids,
        "i2t_ranks": i2t.tolist(),
        "t2i_ranks": t2i.tolist(),
        "owner": owner,
    }


def read_results(path: Path | str) -> Results:
    """Read what `evaluate --json` wrote; raises `DataError` for what cannot be compared."""
    path = require_file(Path(path), "results of `pairlight evaluate --json`")
    content = _content(path)
    if not isinstance(content, dict) or not isinstance(content.get("protocol"), dict):
        raise DataError(f"{path}: is not what `pairlight evaluate --json FILE` writes")
    kept = content.get("queries")
    if kept is None:
        raise DataError(
            f"{path}: holds no ranks, an older pairlight wrote it; "
            "run `pairlight evaluate --json FILE` again"
        )
    if not isinstance(kept, dict):
        raise DataError(f"{path}: `queries` is damaged; run `pairlight evaluate --json FILE` again")
    i2t, t2i, owner = (_numbers(kept, key, path) for key in ("i2t_ranks", "t2i_ranks", "owner"))
    if not isinstance(kept.get("sha256"), str):
        raise DataError(f"{path}: does not tell which images and captions its ranks are of")
    _check(path, i2t, t2i, owner)
    model = content.get("model")
    return Results(
        path=path,
        model=model if isinstance(model, dict) else {},
        split=str(content["protocol"].get("split")),
        sha256=kept["sha256"],
        i2t=i2t,
        t2i=t2i,
        owner=owner,
    )


def _content(path: Path) -> object:
    def refuse(word: str) -> float:
        raise DataError(f"{path}: holds {word}, which is no result; evaluate again")

    def finite(word: str) -> float:
        return float(word) if math.isfinite(float(word)) else refuse(word)

    try:
        text = path.read_text(encoding="utf-8-sig")
        return json.loads(text, parse_constant=refuse, parse_float=finite)
    except (ValueError, RecursionError):  # no JSON, no UTF-8, or nested beyond reason
        raise DataError(
            f"{path}: is not JSON; give what `pairlight evaluate --json FILE` wrote"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot read: {error.strerror}") from None


def _numbers(kept: Json, key: str, path: Path) -> np.ndarray:
    values = kept.get(key)
    if not isinstance(values, list) or not values or not all(type(x) is int for x in values):
        raise DataError(f"{path}: queries.{key} must be a list of whole numbers; evaluate again")
    if max(values) >= 2**53 or min(values) < 0:
        raise DataError(f"{path}: queries.{key} holds a number that no rank can be; evaluate again")
    return np.array(values, np.int64)


def _check(path: Path, i2t: np.ndarray, t2i: np.ndarray, owner: np.ndarray) -> None:
    """Raise `DataError` unless the ranks are such as these images and captions can have."""
    n, m = len(i2t), len(t2i)
    fits = len(owner) == m and owner.max() < n and i2t.max() <= m and 1 <= t2i.min()
    # An image asks just when it has captions.
    if not fits or t2i.max() > n or ((i2t > 0) != (np.bincount(owner, minlength=n) > 0)).any():
        raise DataError(
            f"{path}: its ranks do not fit its {n} images and {m} captions; evaluate again"
        )
