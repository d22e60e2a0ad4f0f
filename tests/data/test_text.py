"""Checks what caption cleaning changes and what it leaves alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairlight.data.text import CHANGES, clean_caption, is_empty, word_count


@pytest.mark.parametrize(
    ("before", "after", "kinds"),
    [
        ("A dog runs .", "A dog runs.", ("punctuation",)),
        ("A dog , a cat .  .", "A dog, a cat.", ("spaces", "punctuation")),
        (" A\tdog\u00a0 runs\n", "A dog runs", ("spaces",)),
        ('"A dog runs ."', "A dog runs.", ("quotes", "punctuation")),
        ("“A dog”", "A dog", ("quotes",)),
        ("cafe\u0301", "caf\u00e9", ("unicode",)),
        ("\ufeffA\u200b dog\x07", "A dog", ("invisible",)),
        ("a\u200db", "ab", ("invisible",)),
        ("Who ? Me !", "Who? Me!", ("punctuation",)),
    ],
)
def test_changes(before, after, kinds):
    assert clean_caption(before) == (after, kinds)


@pytest.mark.parametrize(
    "text",
    [
        "A dog runs.",
        'A sign says "Stop" to the dog',
        '"Stop" and "Go" are on "signs"',
        "A family 👨‍👩‍👧 and a flag 🏴󠁧󠁢󠁥󠁮󠁧󠁿 ❤️",
        "一只狗在草地上跑。",
        "Wait... what",
        "costs .5 dollars",
        "می‌خواهم",
    ],
)
def test_left_alone(text):
    assert clean_caption(text) == (text, ())


@given(st.text(max_size=40))
def test_cleaning_twice_is_cleaning_once(text):
    cleaned, kinds = clean_caption(text)
    assert clean_caption(cleaned) == (cleaned, ())
    assert set(kinds) <= set(CHANGES)
    assert bool(kinds) == (cleaned != text)
    cleaned.encode("utf-8")


@pytest.mark.parametrize(
    ("text", "empty", "words"),
    [("", True, 0), (" . ", True, 0), ("…", True, 0), ("🐕", False, 0), ("dog", False, 1)]
    + [("A dog's tail.", False, 4), ("小狗", False, 2), ("วิ่ง", False, 4), ("2 dogs", False, 2)],
)
def test_empty_and_words(text, empty, words):
    assert is_empty(text) == empty
    assert word_count(text) == words
