"""Explanations, on a model of colours whose reasons are known, and on the released model."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from pairlight.data.language import word_spans
from pairlight.embed import load_model
from pairlight.errors import ConfigError, DataError
from pairlight.explain import (
    deletion_curve,
    explain_pair,
    lines_about,
    patch_sizes,
    region_drops,
    seen_words,
    standing,
    to_json,
)
from pairlight.sample import sample_dir
from pairlight.search.index import index_photos
from pairlight.search.query import Query
from pairlight.search.searcher import open_searcher
from pairlight.search.store import open_store
from pairlight.tokenization import Tokens

COLOURS = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 220)}


class ColourWords:
    """Knows three colours: an image is how much of each it has, a text how often it says each."""

    name, sha256, image_size, embed_dim = "colours", "c" * 64, 56, 4

    def encode_pixels(self, pixels):
        flat = pixels.reshape(len(pixels), -1, 3).astype(float)
        near = [
            (np.abs(flat - np.array(c)).sum(axis=2) < 60).mean(axis=1) for c in COLOURS.values()
        ]
        return self._unit(np.stack([*near, np.full(len(pixels), 0.05)], axis=1))

    def encode_images(self, paths, track=None):
        from pairlight.imaging import load_square

        return self.encode_pixels(np.stack([load_square(path, 56) for path in paths]))

    def encode_texts(self, texts, track=None):
        counts = [[text.lower().split().count(name) for name in COLOURS] for text in texts]
        return self._unit(np.array([[*row, 0.1] for row in counts], float))

    def tokenizer(self, texts):
        return [Tokens(list(range(min(6, len(text.split())))), []) for text in texts]

    @staticmethod
    def _unit(rows):
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def corner(tmp_path):
    """A grey photo, red in its upper left quarter."""
    image = Image.new("RGB", (200, 100), (128, 128, 128))
    image.paste(COLOURS["red"], (0, 0, 100, 50))
    image.save(tmp_path / "corner.png")
    return tmp_path / "corner.png"


def test_the_word_and_the_region_that_matter(corner):
    found = explain_pair(ColourWords(), corner, "a  red and blue thing", grid=8, fill="mean")
    by_word = dict(zip(found.words, found.contributions, strict=True))
    assert list(by_word) == ["a", "red", "and", "blue", "thing"]
    assert by_word["red"] > 0.3 and by_word["blue"] < -0.1
    assert abs(by_word["and"]) < 1e-6
    assert np.allclose(found.without, found.score - found.contributions)
    inside = np.zeros((8, 8), bool)
    inside[:4, :4] = True
    assert found.regions[inside].min() > 0
    assert found.regions[inside].mean() > 5 * np.abs(found.regions[5:, 5:]).max()
    assert found.size == (200, 100) and found.cut == ()
    assert "mean colour" in found.method and "2 x 2 and 3 x 3 of 8 x 8" in found.method


@pytest.mark.parametrize("fill", ["blur", "mean"])
@pytest.mark.parametrize("grid", [7, 10, 14])
def test_each_cell_is_the_mean_of_the_patches_over_it(corner, grid, fill):
    """Beside a slow obvious twin."""
    from pairlight.explain import scores_covered
    from pairlight.imaging import load_square

    model, pixels = ColourWords(), load_square(corner, 56)
    text = model.encode_texts(["red"])[0]
    whole = float(model.encode_pixels(pixels[None])[0] @ text)
    expected = np.zeros((grid, grid))
    for side in patch_sizes(grid):
        drops = {}
        for row in range(grid - side + 1):
            for column in range(grid - side + 1):
                mask = np.zeros((1, grid, grid), bool)
                mask[0, row : row + side, column : column + side] = True
                drops[row, column] = whole - scores_covered(model, pixels, text, mask, fill)[0]
        for row, column in np.ndindex(grid, grid):
            over = [drop for (r, c), drop in drops.items()
                    if r <= row < r + side and c <= column < c + side]  # fmt: skip
            expected[row, column] += np.mean(over) / 2
    assert np.allclose(region_drops(model, pixels, text, grid, fill), expected, atol=1e-6)


def test_a_region_that_speaks_against_is_negative(corner):
    found = explain_pair(ColourWords(), corner, "blue", grid=7, fill="mean")
    assert found.regions[0, 0] < 0 and found.regions[0, 0] < found.regions[-1, -1]


def test_words_past_the_limit_are_named(corner):
    found = explain_pair(ColourWords(), corner, "red one two three four five six seven")
    assert found.words == ("red", "one", "two", "three", "four", "five")
    assert found.cut == ("six", "seven")
    assert any("cut off: six seven" in note for note in found.notes)


def test_the_limit_of_the_released_model():
    model = load_model("pretrained")
    text = " ".join(["dog"] * 60)
    # 40 tokens, two of them special.
    assert seen_words(model, text, word_spans(text)) == 38
    assert seen_words(model, "a dog", word_spans("a dog")) == 2


def test_stop_words_alone_are_told(corner):
    found = explain_pair(ColourWords(), corner, "the with a")
    assert any("only words such as" in note for note in found.notes)
    assert not explain_pair(ColourWords(), corner, "the red").notes


def test_a_photo_of_one_pixel(tmp_path):
    Image.new("RGB", (1, 1), COLOURS["red"]).save(tmp_path / "one.png")
    found = explain_pair(ColourWords(), tmp_path / "one.png", "red")
    assert found.score > 0.9 and np.allclose(found.regions, 0)
    assert any("1 x 1 pixels" in note for note in found.notes)


def test_transparency_lies_over_white(tmp_path):
    Image.new("RGBA", (40, 40), (*COLOURS["red"], 0)).save(tmp_path / "clear.png")
    found = explain_pair(ColourWords(), tmp_path / "clear.png", "red")
    assert (found.pixels == 255).all() and found.score < 0.2


@pytest.mark.parametrize("text", ["", "   ", "...", "\n"])
def test_a_text_that_says_nothing(corner, text):
    with pytest.raises(ConfigError, match="write a few words"):
        explain_pair(ColourWords(), corner, text)


def test_wrong_files_and_fills(corner, tmp_path):
    (tmp_path / "no.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match="not an image"):
        explain_pair(ColourWords(), tmp_path / "no.jpg", "red")
    with pytest.raises(ConfigError, match="choose from blur, mean"):
        explain_pair(ColourWords(), corner, "red", fill="noise")


def test_standing_and_json(corner):
    model = ColourWords()
    found = explain_pair(model, corner, "red", grid=7)
    where = standing(model, found, corner)
    assert where.photos == 35 and where.captions == 175 and where.relevance is None
    assert where.photos_below >= 34
    told = to_json(found, where, corner, model)
    again = json.loads(json.dumps(told, allow_nan=False))
    assert again == told and again["words"][0]["word"] == "red"
    assert np.array(again["regions"]["contribution"]).shape == (7, 7)
    assert again["method"] == found.method
    assert lines_about(found, where)[0].startswith("score 0.9")


def test_a_sample_photo_is_not_compared_with_itself():
    model, path = ColourWords(), sorted((sample_dir() / "images").iterdir())[0]
    assert standing(model, explain_pair(model, path, "red", grid=7), path).photos == 34


def test_covering_what_matters_first_lowers_the_score_faster():
    """The faithfulness of the released model's explanations, on some of the sample's photos."""
    model = load_model("pretrained")
    rng = np.random.default_rng(0)
    records = json.loads((sample_dir() / "captions.json").read_text(encoding="utf-8"))
    gaps = []
    for record in records[2:14:3]:
        path = sample_dir() / "images" / record["file_name"]
        found = explain_pair(model, path, record["captions"][0], grid=7)
        best = np.argsort(-found.regions.ravel(), kind="stable")

        def area(order, found=found):
            # Past the middle any order is destructive (docs/explain.md): the first half tells.
            return deletion_curve(model, found.pixels, found.vector, order, "blur", 5)[1:3].mean()

        chance = np.mean([area(rng.permutation(49)) for _ in range(2)])
        gaps.append((area(best), chance, area(best[::-1])))
    most, chance, least = np.mean(gaps, axis=0)
    assert most < chance - 0.03 and chance < least


def test_relevance_is_what_a_search_among_the_sample_shows(tmp_path):
    model, folder = load_model("pretrained"), sample_dir() / "images"
    text = "a man on a surfboard rides a big wave in the blue ocean"
    with open_store(str(tmp_path / "a.db"), write=True) as store:
        index_photos(store, model, [str(folder)])
        (hit,) = open_searcher(store, lambda: model).search(Query(text, k=1, cut=False)).hits
        photo = os.fsdecode(hit.photo.path)
    where = standing(model, explain_pair(model, photo, text, grid=7), photo)
    # What single words say besides is in the search alone, and little of so long a text.
    assert where.relevance == pytest.approx(hit.relevance, abs=0.1) and hit.relevance > 0
