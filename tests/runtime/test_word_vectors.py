"""What single words add to a text that asks for photos, and the file that holds it."""

import io

import numpy as np
import pytest

from pairlight.errors import ModelError
from pairlight.hubs import as_queries
from pairlight.runtime.word_vectors import WEIGHT, WordVectors, encode_queries, query_texts


class Constant:
    """A model to which all texts are the same."""

    word_vectors = None

    def encode_texts(self, texts):
        return np.array([[0.6, 0.0, 0.8]] * len(texts), np.float32)


@pytest.fixture
def known():
    return WordVectors.of(["dog", "beach"], np.array([[0.0, 2.0, 0.0], [0.0, 0.0, -1.0]]))


def test_a_word_alone_says_most_and_the_words_of_a_caption_little(known):
    start = np.array([[1.0, 0.0, 0.0]] * 3, np.float32)
    one, two, many = known.added(
        ["a dog", "Dogs on the beach", "a dog runs after its red ball"], start
    )
    assert one[1] / one[0] == pytest.approx(2 * WEIGHT, rel=0.01)
    assert two[1] / two[0] == pytest.approx(2 * WEIGHT / 4, rel=0.01)
    assert two[2] / two[0] == pytest.approx(-WEIGHT / 4, rel=0.01)
    assert many[1] / many[0] == pytest.approx(2 * WEIGHT / 25, rel=0.01)
    assert np.allclose(np.linalg.norm([one, two, many], axis=1), 1)
    assert (start == [1, 0, 0]).all()


def test_words_that_are_not_known_and_texts_without_any_change_nothing(known):
    start = np.array([[0.6, 0.8, 0.0]] * 4, np.float32)
    asked = known.added(["a zebra", "the man", "", "\u72d7"], start)
    assert np.allclose(asked, start)


def test_a_file_gives_the_same_back(known):
    again = WordVectors.from_bytes(known.to_bytes(), 3)
    assert again.words == known.words and (again.vectors == known.vectors).all()
    start = np.ones((1, 3), np.float32)
    assert (again.added(["dog"], start) == known.added(["dog"], start)).all()
    assert again.vectors.dtype == np.int8 and known.to_bytes() == again.to_bytes()


def spoilt(**changes):
    parts = {"words": np.array(["dog"]), "vectors": np.ones((1, 3), np.int8),
             "scales": np.ones(1, np.float32)} | changes  # fmt: skip
    out = io.BytesIO()
    np.savez(out, **{key: each for key, each in parts.items() if each is not None})
    return out.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a zip",
        spoilt()[:-30],
        spoilt(scales=None),
        spoilt(words=np.array(["dog"], object)),  # a pickle, which is never opened
        spoilt(words=np.array([1])),
        spoilt(words=np.array(["dog", "cat"])),
        spoilt(vectors=np.ones((1, 4), np.int8)),
        spoilt(vectors=np.ones(3, np.int8)),
        spoilt(vectors=np.ones((1, 3), np.float32)),
        spoilt(scales=np.array([np.nan], np.float32)),
        spoilt(scales=np.ones((1, 1), np.float32)),
    ],
)
def test_anything_else_is_refused_in_one_line(content):
    with pytest.raises(ModelError, match="word vectors") as caught:
        WordVectors.from_bytes(content, 3)
    assert "\n" not in str(caught.value)


def test_queries_of_a_model_with_and_without_them(known):
    plain = Constant()
    texts = ["dog", "zebra"]
    assert (encode_queries(plain, texts) == as_queries(plain, plain.encode_texts(texts))).all()
    plain.word_vectors = known
    dog, zebra = encode_queries(plain, texts)
    assert dog[1] > 0.9 and np.allclose(zebra, plain.encode_texts(texts)[1])


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("a pizza", "pizza"),
        ("An Elephant", "Elephant"),
        ("  the  sea", "sea"),
        ("the a team", "a team"),
        ("pizza", "pizza"),
        ("two dogs in a park", "two dogs in a park"),
        ("anchor", "anchor"),
        ("a", "a"),
        ("the ", "the "),
        ("", ""),
    ],
)
def test_an_article_in_front_asks_for_nothing(text, asked):
    assert query_texts([text]) == [asked]
    heard = Heard()
    encode_queries(heard, [text])
    assert heard.texts == [asked]


class Heard(Constant):
    """Keeps the texts that it is asked for."""

    def encode_texts(self, texts):
        self.texts = list(texts)
        return super().encode_texts(texts)
