"""Stores of several looks at each photo: remembered, kept apart, used for example photos, too."""

import numpy as np
import pytest
from colours import paint

from pairlight.errors import ConfigError
from pairlight.runtime.looks import several_looks
from pairlight.search.photo import read_photo
from pairlight.search.query import Query
from pairlight.search.searcher import Searcher
from pairlight.search.store import open_store


@pytest.fixture(autouse=True)
def edge(photos):
    """A sixth picture, whose red edge the look at its middle does not see."""
    paint(photos / "edge.png", "red", *["blue"] * 9)


def test_a_store_remembers_how_often_it_looked(index, photos, model, read):
    report = index(photos, looks=3)
    assert report.looks == 3 and report.to_json()["looks"] == 3 and read("looks") == 3
    assert model.encoded == 3 * 6
    paint(photos / "more.png", "white", "red")
    assert index(photos).looks == 3 and model.encoded == 3 * 7
    ids, vectors = read("vectors")
    assert len(ids) == 7
    want = {
        photo.content: several_looks(model, 3).encode_pixels(read_photo(photo.path, 16)[0][None])[0]
        for photo in read("known")
    }
    np.testing.assert_allclose(vectors, [want[each] for each in ids], atol=1e-6)


def test_another_number_needs_a_rebuild(index, photos, read):
    index(photos)
    before = read("vectors")[1]
    with pytest.raises(ConfigError, match="made with --looks 1; leave --looks out, or --rebuild"):
        index(photos, looks=2)
    assert read("looks") == 1
    index(photos, looks=1)
    assert index(photos, looks=2, rebuild=True).counts["embedded"] == 6
    assert read("looks") == 2 and not np.allclose(read("vectors")[1], before)
    assert index(photos, rebuild=True).looks == 2  # as the store has it


def test_a_store_without_a_note_was_made_with_one_look(index, photos, read, tmp_path):
    index(photos)
    with open_store(str(tmp_path / "photos.db"), write=True) as store:
        store._connection.execute("DELETE FROM meta WHERE key = 'looks'")
    assert read("looks") == 1


def test_an_example_is_looked_at_as_often(index, photos, model, tmp_path):
    index(photos, looks=2)
    with open_store(str(tmp_path / "photos.db")) as store:
        searcher = Searcher(store, model)
        example = str(photos / "edge.png")
        best = searcher.search(Query(image=example)).hits[0]
        assert best.photo.path == example and best.score == pytest.approx(1, abs=1e-6)
        index(photos, looks=1, rebuild=True)
        assert searcher.refresh()
        best = searcher.search(Query(image=example)).hits[0]
        assert best.photo.path == example and best.score == pytest.approx(1, abs=1e-6)
