"""The FAISS index: trusted only when measured, tied to its store, never silently wrong."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from colours import ColourModel, names, paint, unit

from pairlight.errors import MissingDependency, PairlightError
from pairlight.search import approximate, approximate_file
from pairlight.search.approximate import ApproximateMatcher, build
from pairlight.search.approximate_file import beside, chooser, key_of, load, save, update
from pairlight.search.matcher import ExactMatcher
from pairlight.search.query import Query
from pairlight.search.records import Fingerprint
from pairlight.search.searcher import Searcher
from pairlight.search.store import Moment, open_store

needs_faiss = pytest.mark.skipif(approximate.faiss_module() is None, reason="faiss not installed")


def clustered(count=4000, dim=32, clusters=40, seed=0):
    """Photos around centres, and texts that lie apart from all of them, as embeddings do."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((clusters, dim))
    photos = centres[rng.integers(0, clusters, count)] + 0.5 * rng.standard_normal((count, dim))
    texts = centres[rng.integers(0, clusters, 50)] + rng.standard_normal((50, dim)) + 1.0
    return unit(photos), unit(texts)


def moment(vectors, changes=7):
    model = Fingerprint("m", "0" * 64, vectors.shape[1], 16)
    return Moment(model, changes, np.arange(len(vectors)), vectors)


@pytest.fixture(scope="module")
def built():
    pytest.importorskip("faiss")
    photos, texts = clustered()
    return photos, texts, build(photos, texts)


def test_what_it_finds_is_what_exact_ranking_finds(built):
    photos, texts, made = built
    assert made.matcher is not None and made.recall >= 0.99
    exact, same, off = ExactMatcher(photos), [], []
    for query in texts:
        rows, scores, spread = made.matcher.best(query, 10)
        truth, best, true_spread = exact.best(query, 10)
        same.append(len(set(rows[:10]) & set(truth[:10])) / 10)
        # Whatever was found has its exact score, and the order is that of the scores.
        assert scores == pytest.approx((photos[rows].astype(float) @ query.astype(float)), abs=1e-6)
        assert (np.diff(scores) <= 0).all()
        assert spread.count == true_spread.count
        assert spread.median == pytest.approx(true_spread.median, abs=1e-5)
        off.append(spread.log_rank(true_spread.scores) - np.log(true_spread.ranks))
    assert np.mean(same) >= 0.99
    # A few of the first fifty may be missed; further down all photos are asked here.
    assert np.abs(off).mean() < 0.01 and np.abs(off).max() < 0.5


def test_filters_and_long_lists_go_past_the_index(built):
    photos, texts, made = built
    allowed = np.zeros(len(photos), bool)
    allowed[5:900:7] = True
    for given in ({"k": 10, "allowed": allowed}, {"k": 51}, {"k": len(photos)}):
        rows, scores, _ = made.matcher.best(texts[0], **given)
        truth, best, _ = ExactMatcher(photos).best(texts[0], **given)
        assert list(rows) == list(truth) and list(scores) == list(best)


class Blind:
    """An index that proposes too few."""

    def __init__(self, ids):
        self.ids = np.array([ids])

    def search(self, query, k, params):
        return None, self.ids


@needs_faiss
def test_too_few_candidates_are_not_taken_for_the_answer():
    photos, texts = clustered(500)
    matcher = ApproximateMatcher(photos, Blind([3, -1, -1]), 8)
    assert list(matcher.best(texts[0], 5)[0]) == list(ExactMatcher(photos).best(texts[0], 5)[0])


@needs_faiss
def test_a_part_of_the_photos_says_how_all_scores_lie(monkeypatch):
    monkeypatch.setattr(approximate, "_ASKED", 500)
    photos, texts = clustered(4000)
    made, exact = build(photos, texts), ExactMatcher(photos)
    off = []
    for query in texts:
        rows, scores, told = made.matcher.best(query, 10)
        true = exact.best(query, 10)[2]
        assert told.count == true.count and told.ranks[-1] == 4000
        assert (np.diff(told.scores) < 0).all()
        above = np.mean(photos @ query > told.median)
        assert above == pytest.approx(0.5, abs=0.1)
        off.append(told.log_rank(true.scores) - np.log(true.ranks))
    # The share that scores as high is known to a tenth on the whole, beyond what the sample
    # reaches to a half.
    assert np.abs(np.mean(off)) < 0.1 and np.abs(off).mean() < 0.15 and np.abs(off).max() < 1


@needs_faiss
def test_an_index_that_misses_too_much_is_not_kept(monkeypatch):
    photos = unit(np.random.default_rng(0).standard_normal((4000, 64)))  # no clusters to go by
    texts = unit(np.random.default_rng(1).standard_normal((50, 64)))
    monkeypatch.setattr(approximate, "LEAST_CANDIDATES", 1)
    monkeypatch.setattr(approximate, "WIDE", 1)
    made = build(photos, texts)
    assert made.matcher is None and made.recall < 0.99
    assert "searches stay exact" in made.line() and made.to_json()["kept"] is False


def test_it_comes_back_from_its_file(built, tmp_path):
    photos, texts, made = built
    path, now = tmp_path / "a.db-faiss", moment(photos)
    save(path, made.matcher, key_of(now))
    back = load(path, now)
    for query in texts[:10]:
        assert list(back.best(query, 10)[0]) == list(made.matcher.best(query, 10)[0])


def test_another_state_another_model_and_other_vectors_are_refused(built, tmp_path):
    photos, _, made = built
    path = tmp_path / "a.db-faiss"
    save(path, made.matcher, key_of(moment(photos)))
    changed = photos.copy()
    changed[0] = changed[1]
    other = moment(photos)._replace(model=Fingerprint("m", "1" * 64, photos.shape[1], 16))
    renumbered = moment(photos)._replace(ids=np.arange(len(photos)) + 1)
    for now in (moment(photos, 8), moment(photos[:-1]), moment(changed), other, renumbered):
        with pytest.raises(PairlightError, match="another state"):
            load(path, now)


def array():
    held = io.BytesIO()
    np.save(held, np.zeros(3))
    return held.getvalue()


@pytest.mark.parametrize("spoil", ["cut", "flip", "rubbish", "empty", "array"])
def test_a_damaged_file_is_told_and_ranked_exactly(built, tmp_path, spoil):
    photos, texts, made = built
    store = tmp_path / "a.db"
    path = beside(store)
    save(path, made.matcher, key_of(moment(photos)))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    changed = {
        "cut": content[: len(content) // 2],
        "flip": content,
        "rubbish": b"PK no",
        "empty": b"",
        "array": array(),
    }
    path.write_bytes(changed[spoil])
    notes = []
    matcher = chooser(store, notes.append)(moment(photos))
    assert isinstance(matcher, ExactMatcher)
    assert len(notes) == 1 and "damaged" in notes[0] and "\n" not in notes[0]
    assert list(matcher.best(texts[0], 3)[0]) == list(ExactMatcher(photos).best(texts[0], 3)[0])


# A whole store, with the threshold lowered.


@pytest.fixture
def low(monkeypatch):
    monkeypatch.setattr(approximate_file, "LEAST", 60)


@pytest.fixture
def many(tmp_path):
    """Eighty pictures, so that lists can be made of them."""
    folder = tmp_path / "photos"
    colours = ["red", "green", "blue", "yellow", "white", "black"]
    for number in range(80):
        first, second = colours[number % 6], colours[(number // 6) % 6]
        paint(folder / f"{number}.png", first, second, first, size=(40 + number, 20), seed=number)
    return folder


def brought_up(tmp_path, wanted=None):
    with open_store(str(tmp_path / "photos.db"), write=True) as store:
        return update(store, ColourModel(), wanted)


def searched(tmp_path, notes, query="red and white"):
    with open_store(str(tmp_path / "photos.db")) as store:
        searcher = Searcher(store, ColourModel(), matcher=chooser(store.path, notes.append))
        return names(searcher.search(Query(query, k=5))), searcher._loaded.matcher


@needs_faiss
def test_a_large_store_gets_an_index_and_uses_it(index, many, tmp_path, low):
    index(many)
    facts, line = brought_up(tmp_path)
    assert facts["kept"] and facts["recall"] >= 0.99 and "FAISS index built" in line
    notes = []
    found, matcher = searched(tmp_path, notes)
    assert isinstance(matcher, ApproximateMatcher) and notes == []
    beside(tmp_path / "photos.db").unlink()
    assert searched(tmp_path, notes)[0] == found
    # What is there already is not built again.
    assert brought_up(tmp_path)[0]["kept"] and brought_up(tmp_path) == (None, "")


@needs_faiss
def test_a_store_that_has_changed_is_ranked_exactly_and_that_is_told(index, many, tmp_path, low):
    index(many)
    brought_up(tmp_path)
    paint(many / "new.png", "red", "white", seed=999)
    index(many)
    notes = []
    found, matcher = searched(tmp_path, notes)
    assert isinstance(matcher, ExactMatcher) and found[0] == "new.png"
    assert len(notes) == 1 and "another state of the store; ranked exactly until" in notes[0]
    brought_up(tmp_path)
    found, matcher = searched(tmp_path, notes)
    assert isinstance(matcher, ApproximateMatcher) and found[0] == "new.png" and len(notes) == 1


@needs_faiss
def test_small_stores_and_those_who_decline_have_none(index, many, tmp_path, monkeypatch):
    index(many)
    assert brought_up(tmp_path) == (None, "")
    assert "exact ranking is as quick" in brought_up(tmp_path, wanted=True)[1]
    monkeypatch.setattr(approximate_file, "LEAST", 60)
    brought_up(tmp_path)
    assert beside(tmp_path / "photos.db").exists()
    brought_up(tmp_path, wanted=False)
    assert not beside(tmp_path / "photos.db").exists()


def test_without_faiss_a_large_store_is_ranked_exactly_with_a_word(
    index, many, tmp_path, low, monkeypatch
):
    for module in (approximate, approximate_file):
        monkeypatch.setattr(module, "faiss_module", lambda: None)
    index(many)
    assert brought_up(tmp_path) == (None, "")
    with pytest.raises(MissingDependency, match=r"pairlight\[faiss\]"):
        brought_up(tmp_path, wanted=True)
    notes = []
    _, matcher = searched(tmp_path, notes)
    assert isinstance(matcher, ExactMatcher) and "faiss is not installed" in notes[0]
    beside(tmp_path / "photos.db").write_bytes(b"an index of somebody who had it")
    searched(tmp_path, notes)
    assert "faiss is not installed" in notes[1]


@needs_faiss
def test_the_commands(many, tmp_path, low, monkeypatch, capsys):
    import pairlight
    from pairlight.cli.main import app, run

    monkeypatch.setattr(pairlight, "load", lambda name: ColourModel())
    monkeypatch.chdir(tmp_path)
    assert run(app, ["index", "photos", "--store", "a.db", "--json", "a.json"]) == 0
    assert "FAISS index built" in capsys.readouterr().out
    assert json.loads(Path("a.json").read_text(encoding="utf-8"))["faiss"]["kept"] is True
    answers = []
    for more in ([], ["--exact"]):
        assert run(app, ["search", "red", "--store", "a.db", *more, "--json", "-"]) == 0
        answers.append(json.loads(capsys.readouterr().out)["hits"])
    assert answers[0] == answers[1]
    monkeypatch.setitem(sys.modules, "faiss", None)
    approximate.faiss_module.cache_clear()
    assert run(app, ["index", "--store", "a.db", "--faiss"]) == 2
    assert "faiss is not installed" in capsys.readouterr().err
    approximate.faiss_module.cache_clear()
