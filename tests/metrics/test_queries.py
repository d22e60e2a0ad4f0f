"""Checks what an evaluation keeps for comparisons, and that damaged files get one clear line."""

import json

import numpy as np
import pytest
from invented import invent

from pairlight.errors import DataError
from pairlight.metrics.queries import query_record, read_results
from pairlight.metrics.retrieval import ranks


def results(embeddings=None, **model):
    """The parts of `evaluate --json` that a comparison reads."""
    e = embeddings or invent(each=np.arange(40) % 4)
    i2t, t2i = ranks(e.images, e.texts, e.owner)
    record = query_record(e, i2t, t2i)
    return {"model": {"name": "m", **model}, "protocol": {"split": "val"}, "queries": record}


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_what_is_written_is_read_back(tmp_path):
    e = invent(each=np.arange(40) % 4)
    i2t, t2i = ranks(e.images, e.texts, e.owner)
    found = read_results(write(tmp_path / "r.json", results(e, sha256="ab")))
    assert (found.i2t == i2t).all() and (found.t2i == t2i).all() and (found.owner == e.owner).all()
    assert found.split == "val" and found.model == {"name": "m", "sha256": "ab"}
    assert (found.i2t == 0).any()


def test_the_hash_is_of_ids_captions_and_owners():
    e = invent(n=4, each=2)
    ranked = ranks(e.images, e.texts, e.owner)

    def sha256(**change):
        return query_record(invent(n=4, each=2, **change), *ranked)["sha256"]

    assert sha256() == sha256() == sha256(seed=5)  # of the queries, not of the model
    assert sha256(image_ids=("a", "b", "c", "d")) != sha256()
    assert sha256(captions=tuple("abcdefgh")) != sha256()
    assert sha256(captions=("\udce9", *"bcdefgh"))  # a name that is no UTF-8 text
    other = invent(n=4, each=[1, 3, 2, 2])
    assert query_record(other, *ranked)["sha256"] != sha256()
    assert query_record(invent(n=4, each=2, named=False), *ranked)["sha256"] is None


def damaged(change):
    content = results()
    change(content)
    return content


def put(key, row, value):
    return lambda c: c["queries"][key].__setitem__(row, value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[1]", "is not what"),
        ('{"protocol": 3}', "is not what"),
        ('{"protocol": {}, "rsum": NaN}', "holds NaN"),
        ('{"protocol": {}, "rsum": -Infinity}', "holds -Infinity"),
        ('{"protocol": {}, "rsum": 1e999}', "holds 1e999"),
        (damaged(lambda c: c.pop("queries")), "an older pairlight wrote it"),
        (damaged(lambda c: c.update(queries=[])), "`queries` is damaged"),
        (damaged(lambda c: c["queries"].pop("t2i_ranks")), "queries.t2i_ranks must be a list"),
        (damaged(put("t2i_ranks", 0, 1.5)), "queries.t2i_ranks must be a list"),
        (damaged(put("i2t_ranks", 0, True)), "queries.i2t_ranks must be a list"),
        (damaged(put("i2t_ranks", 1, -1)), "no rank can be"),
        (damaged(put("owner", 0, 10**30)), "no rank can be"),
        (damaged(put("t2i_ranks", 0, 0)), "do not fit"),
        (damaged(put("t2i_ranks", 0, 41)), "do not fit"),
        (damaged(put("i2t_ranks", 1, 10_000)), "do not fit"),
        (damaged(put("i2t_ranks", 0, 1)), "do not fit"),  # image 0 has no caption
        (damaged(put("i2t_ranks", 1, 0)), "do not fit"),
        (damaged(put("owner", 0, 40)), "do not fit"),
        (damaged(lambda c: c["queries"]["owner"].pop()), "do not fit"),
        (damaged(lambda c: c["queries"].update(sha256=None)), "which images and captions"),
    ],
)
def test_damage_is_one_clear_line(tmp_path, content, problem):
    path = write(tmp_path / "r.json", content)
    with pytest.raises(DataError) as told:
        read_results(path)
    assert problem in str(told.value) and str(told.value).startswith(f"{path}: ")
    assert "\n" not in str(told.value)


def test_no_file_no_text(tmp_path):
    with pytest.raises(DataError, match="not found"):
        read_results(tmp_path / "none.json")
    with pytest.raises(DataError, match="is a folder"):
        read_results(tmp_path)
    (tmp_path / "b.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is not JSON"):
        read_results(tmp_path / "b.json")
