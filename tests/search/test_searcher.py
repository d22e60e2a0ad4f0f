"""Search as a whole: words, photos, --not, filters before ranking, folding, what is not there."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from colours import NAMES, ColourModel, names, paint, unit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pairlight.errors import ConfigError, DataError, ModelError
from pairlight.hubs import as_queries
from pairlight.runtime.word_vectors import WordVectors
from pairlight.search.calibration import Calibration
from pairlight.search.query import NOT_WEIGHT, Query, query_vector
from pairlight.search.records import Filters
from pairlight.search.searcher import Searcher
from pairlight.search.store import open_store
from pairlight.search.vocabulary import Vocabulary


@pytest.fixture
def searcher(index, photos, tmp_path, model):
    index(photos)
    with open_store(str(tmp_path / "photos.db")) as store:
        yield Searcher(store, model)


def test_words_find_what_they_name(searcher):
    result = searcher.search(Query("something red"))
    assert names(result) == ["red.png", "flag.png", "green.png", "blue.png", "blue_white.png"]
    assert result.hits[0].score == pytest.approx(1, abs=0.01)
    assert result.hits[1].score == pytest.approx(3**-0.5, abs=0.05)
    assert names(searcher.search(Query("blue and white", k=1))) == ["blue_white.png"]


def test_a_photo_finds_itself_first_and_the_like_next(searcher, photos):
    result = searcher.search(Query(image=str(photos / "sea" / "flag.png"), k=2))
    assert names(result) == ["flag.png", "blue_white.png"]
    assert result.hits[0].score == pytest.approx(1, abs=1e-6)


def test_text_and_image_are_added_as_unit_vectors(model, photos):
    image = str(photos / "green.png")
    both = query_vector(model, Query("blue", image=image))
    parts = query_vector(model, Query("blue")) + query_vector(model, Query(image=image))
    assert np.allclose(both, unit(parts[None])[0], atol=1e-6)
    assert np.linalg.norm(both) == pytest.approx(1, abs=1e-6)


def test_text_and_image_both_have_a_say(searcher, photos):
    result = searcher.search(Query("white", image=str(photos / "sea" / "blue.png"), k=1))
    assert names(result) == ["blue_white.png"]


def test_not_takes_half_of_it_away(searcher, model):
    vector = query_vector(model, Query("blue", without=("white", "red")))
    texts = model.encode_texts(["blue", "white", "red"])
    expected = texts[0] - NOT_WEIGHT * (texts[1] + texts[2])
    assert np.allclose(vector, unit(expected[None])[0], atol=1e-6)
    assert names(searcher.search(Query("white", k=2))) == ["blue_white.png", "flag.png"]
    # What is not wanted sinks below what has neither.
    result = searcher.search(Query("white", without=("blue",)))
    assert names(result)[-1] == "blue.png"


def test_texts_ask_without_their_own_correction_of_hubs(model, monkeypatch):
    plain = query_vector(model, Query("red", without=("blue",)))
    monkeypatch.setattr(model, "corrects_hubs", True, raising=False)
    vector = query_vector(model, Query("red", without=("blue",)))
    texts = as_queries(model, model.encode_texts(["red", "blue"]))
    expected = texts[0] - NOT_WEIGHT * texts[1]
    assert np.allclose(vector, unit(expected[None])[0], atol=1e-6)
    assert not np.allclose(vector, plain, atol=0.01)


def test_single_words_have_a_say_where_the_model_knows_them(searcher, model, monkeypatch):
    white = 2 * np.eye(model.embed_dim)[NAMES.index("white")][None]
    monkeypatch.setattr(model, "word_vectors", WordVectors.of(["snow"], white), raising=False)
    assert names(searcher.search(Query("snow", k=2))) == ["blue_white.png", "flag.png"]
    assert names(searcher.search(Query("something red", k=1))) == ["red.png"]
    without = query_vector(model, Query("red", without=("snow",)))
    assert without[NAMES.index("white")] < -0.1 and without[NAMES.index("red")] > 0.8


def test_queries_that_make_no_sense(model, photos, searcher):
    for empty in (Query, lambda: Query("  "), lambda: Query(without=("red",))):
        with pytest.raises(ConfigError, match="nothing to search for"):
            empty()
    with pytest.raises(ConfigError, match="cancel"):
        query_vector(model, Query("red", without=("red", "red")))
    with pytest.raises(DataError, match="--image .*none.png: image not found"):
        searcher.search(Query(image=str(photos / "none.png")))
    with pytest.raises(ConfigError, match="at least one"):
        Query("red", k=0)
    broken = ColourModel()
    broken.encode_texts = lambda texts: np.full((len(texts), 8), np.nan)
    with pytest.raises(ModelError, match="no number"):
        query_vector(broken, Query("red"))


def test_another_model_is_refused(searcher):
    with pytest.raises(ModelError, match="cannot search them"):
        Searcher(searcher.store, ColourModel(sha256="f" * 64))


def test_copies_and_photos_that_are_alike_are_folded(index, photos, tmp_path, model):
    shutil.copy(photos / "red.png", photos / "a copy.png")
    paint(photos / "nearly.png", "red", seed=7)  # other bytes, one pixel apart
    index(photos)
    with open_store(str(tmp_path / "photos.db")) as store:
        searcher = Searcher(store, model)
        result = searcher.search(Query("red", k=2))
        # The copies come by path; they and the one that is alike are one hit.
        assert names(result) == ["a copy.png", "flag.png"]
        alike = [Path(each.path).name for each in result.hits[0].duplicates]
        assert sorted(alike) == ["nearly.png", "red.png"]
        single = searcher.search(Query("red", k=3, fold=False))
        assert set(names(single)) == {"a copy.png", "red.png", "nearly.png"}
        assert not any(hit.duplicates for hit in single.hits)


def test_equal_scores_are_ordered_by_path_whatever_came_first(index, photos, tmp_path, model):
    index(photos)
    for number, name in enumerate(("b.png", "a.png", "zz.png")):
        paint(photos / name, "red", seed=number + 1)
        index(photos)
    with open_store(str(tmp_path / "photos.db")) as store:
        searcher = Searcher(store, model)
        single = searcher.search(Query("red", k=3, fold=False))
        assert names(single) == ["a.png", "b.png", "red.png"]
        folded = searcher.search(Query("red", k=1)).hits[0]
    assert [Path(each.path).name for each in folded.duplicates] == ["b.png", "red.png", "zz.png"]


def test_folding_still_fills_the_list(index, tmp_path, model):
    folder = tmp_path / "photos"
    for number in range(150):
        paint(folder / f"red{number}.png", "red", seed=number + 1)
    for number, colour in enumerate(NAMES[1:]):
        paint(folder / f"{colour}.png", "red", colour, seed=number + 1)
    index(folder)
    with open_store(str(tmp_path / "photos.db")) as store:
        result = Searcher(store, model).search(Query("red", k=6))
    assert len(result.hits) == 6 and len(result.hits[0].duplicates) == 149


def test_filters_choose_among_copies(index, photos, tmp_path, model):
    (photos / "old").mkdir()
    shutil.copy(photos / "red.png", photos / "old" / "red2.png")
    index(photos)
    with open_store(str(tmp_path / "photos.db")) as store:
        result = Searcher(store, model).search(Query("red", filters=Filters(path="old/*")))
    assert names(result) == ["red2.png"] and not result.hits[0].duplicates


def test_relevance_is_for_plain_texts_with_a_calibration(searcher, photos):
    result = searcher.search(Query("red"))
    assert result.best is None and result.cutoff is None and "no calibration" in result.note
    assert all(hit.relevance is None for hit in result.hits)
    searcher.calibration = Calibration((20.0, 0.0, 0.0, 0.0, 0.0, 0.0), -10.0, 0.6)
    result = searcher.search(Query("red"))
    assert names(result) == ["red.png", "flag.png"] and result.note == ""
    assert result.hits[0].relevance == pytest.approx(1 / (1 + np.exp(-10)), abs=0.01)
    assert all(hit.relevance >= 0.6 for hit in result.hits)
    assert len(searcher.search(Query("red", cut=False)).hits) == 5
    for query in (Query("red", without=("blue",)), Query(image=str(photos / "red.png"))):
        result = searcher.search(query)
        assert len(result.hits) == 5 and "plain text" in result.note and result.best is None


def test_nothing_matches(searcher):
    searcher.calibration = Calibration((20.0, 0.0, 0.0, 0.0, 0.0, 0.0), -10.0, 0.6)
    result = searcher.search(Query("a unicorn"))
    assert result.hits == [] and result.best < 0.01 and result.cutoff == 0.6
    assert result.unknown == []  # the model does not say what it learnt from


def test_words_that_the_model_has_not_learnt_are_named_and_lower_relevance(searcher):
    known = Vocabulary.of(["red"] * 30)
    searcher.calibration = Calibration((20.0, 0.0, 0.0, 3.0, 0.0, 0.0), -24.0, 0.4, known)
    result = searcher.search(Query("red"))
    assert result.unknown == [] and result.best > 0.9
    result = searcher.search(Query("reddish red"))
    assert result.unknown == ["reddish"] and result.best < 0.9
    # Relevance is not known then, but words still are.
    result = searcher.search(Query("red", without=("bluish",)))
    assert result.unknown == ["bluish"] and result.best is None


def test_an_empty_not_says_nothing(searcher):
    assert Query("red", without=("", " ")).plain
    assert searcher.search(Query("red", without=("",))) == searcher.search(Query("red"))


def test_an_empty_store(index, tmp_path, model):
    (tmp_path / "photos").mkdir()
    index(tmp_path / "photos")
    with open_store(str(tmp_path / "photos.db")) as store:
        result = Searcher(store, model).search(Query("red"))
    assert result.hits == [] and result.photos == 0


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_search_ranks_as_the_slow_obvious_way_does(tmp_path_factory, data):
    """All photos, scored one by one in float64, sorted by score, equal ones by path."""
    from pairlight.search.index import index_photos
    from pairlight.search.photo import read_photo

    folder = tmp_path_factory.mktemp("photos")
    stripes = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3)
    painted = data.draw(st.lists(stripes, min_size=1, max_size=25))
    for number, colours in enumerate(painted):
        name = data.draw(st.sampled_from("abc")) + f"{number}.png"
        paint(folder / name, *colours, seed=data.draw(st.integers(0, 3)), size=(12, 8))
    model, words = ColourModel(), " ".join(data.draw(stripes))
    with open_store(str(folder / "photos.db"), write=True) as store:
        index_photos(store, model, [str(folder)])
        k = data.draw(st.integers(1, 30))
        result = Searcher(store, model).search(Query(words, k=k, fold=False))
    query = model.encode_texts([words])[0].astype(float)
    query = (query / np.linalg.norm(query)).astype(np.float32).astype(float)
    scored = []
    for path in folder.glob("*.png"):
        vector = model.encode_pixels(read_photo(str(path), 16)[0][None])[0].astype(float)
        scored.append((-float((vector * query).sum()), str(path)))
    scored.sort()
    assert [(hit.photo.path, hit.score) for hit in result.hits] == [(p, -s) for s, p in scored[:k]]


def test_hits_as_json_keep_names_that_are_no_text(index, tmp_path, model):
    folder = tmp_path / "photos"
    path = paint(folder / "a.png", "red")
    os.rename(path, os.fsencode(folder) + b"/\xff.png")
    index(folder)
    with open_store(str(tmp_path / "photos.db")) as store:
        hit = Searcher(store, model).search(Query("red")).hits[0].to_json()
    assert os.fsencode(hit["path"]) == os.fsencode(folder) + b"/\xff.png"
    assert set(hit) >= {"path", "score", "relevance", "duplicates"}
