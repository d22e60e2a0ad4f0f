"""The words a model has learnt from: which count, how often, and how familiar a text is by them."""

import math

import pytest

from pairlight.errors import ModelError
from pairlight.search import vocabulary
from pairlight.search.vocabulary import Vocabulary
from pairlight.words import content_words, shown_words


def test_content_words():
    assert content_words("Two dogs are running on the beach .") == {"dog", "run", "beach"}
    assert content_words("a red ring beside horses, a horse") & {"red", "ring", "hors"} == {
        "red",
        "ring",
        "hors",
    }
    # People are what is asked for where nothing else is, and always among what is seen.
    assert content_words("a man with the woman") == {"man", "woman"}
    assert content_words("a man with a dog") == {"dog"}
    assert shown_words("a man with a dog") == {"man", "dog"}
    assert content_words("two of the three") == shown_words("two of the three") == set()


def test_a_caption_counts_a_word_once_and_rare_words_not_at_all():
    known = Vocabulary.of(["a dog and a dog", "the dogs", "a dog with a kite", "a zebra"])
    assert known.counts == {"dog": 3}


def test_counts_stop_where_a_word_is_known():
    assert Vocabulary.of(["a dog"] * 250).counts == {"dog": 200}


def test_only_the_most_frequent_are_kept(monkeypatch):
    monkeypatch.setattr(vocabulary, "MOST", 2)
    assert set(Vocabulary.of(["dog cat sky"] * 2 + ["cat sky"]).counts) == {"cat", "sky"}


def test_familiarity():
    known = Vocabulary({"dog": 999, "beach": 9})
    assert known.familiarity("A dog!") == pytest.approx(math.log(201))  # 200 are enough
    assert known.familiarity("dogs on the beach") == pytest.approx(math.log(2010) / 2)
    assert known.familiarity("a zebra") == 0
    assert known.familiarity("two people") == pytest.approx(math.log(201))  # in every caption
    assert known.familiarity("\u72d7") == known.familiarity("") == 0
    assert Vocabulary().familiarity("a dog") == 0


def test_unknown_words():
    known = Vocabulary({"dog": 30, "beach": 2})
    assert known.unknown("Two dogs, 3 zebras and a zebra on the BEACH of Rio") == [
        "zebras",
        "zebra",
        "rio",
    ]
    assert known.unknown("a man") == known.unknown("") == []
    assert Vocabulary({"cafe": 2}).unknown("a caf\u00e9") == []
    assert known.unknown("\u6d77\u6ee9 dog") == ["\u6d77\u6ee9"]  # a run, not each character
    assert known.unknown("dog123, don't! the dog's + isn\u2019t (dog) 24 x\u00b2") == ["dog123"]
    assert known.unknown("\U0001f436\ufe0f on the beach") == ["\U0001f436"]
    assert Vocabulary().unknown("a zebra") == []


def test_it_is_told_by_count_and_read_again():
    known = Vocabulary({"dog": 30, "kite": 2, "ball": 2})
    assert known.to_dict() == {"2": "ball kite", "30": "dog"}
    assert Vocabulary.from_dict(known.to_dict()) == known
    assert Vocabulary.from_dict({}) == Vocabulary()


@pytest.mark.parametrize("told", [None, [], "dog", {"dog": 2}, {"0": "dog"}, {"1": ["dog"]}])
def test_damaged_counts_are_refused(told):
    with pytest.raises(ModelError, match="words must be listed by count"):
        Vocabulary.from_dict(told)
