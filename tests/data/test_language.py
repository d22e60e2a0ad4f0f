"""Languages by their commonest words, scripts by their letters, words of a text."""

import pytest

from pairlight.data.language import language_of, only_stop_words, script_of, word_spans


@pytest.mark.parametrize(
    "text, language",
    [
        ("A dog runs through the grass.", "English"),
        ("Ein Hund läuft mit einem Ball über die Wiese.", "German"),
        ("Un chien court dans l'herbe avec une balle.", "French"),
        ("Un perro corre por la hierba con una pelota.", "Spanish"),
        ("Un cane corre nel prato con gli altri.", "Italian"),
        ("Um cachorro corre na grama com uma bola.", "Portuguese"),
        ("Een hond rent door het gras met een bal.", "Dutch"),
        ("一只狗在草地上奔跑", "Chinese"),
        ("犬が草の上を走る", "Japanese"),
        ("개가 풀밭을 달린다", "Korean"),
        ("Собака бежит по траве", "Cyrillic"),
        ("dogs racing", None),
        ("A man wearing no shirt climbs a steep cliff.", "English"),
        ("hear no evil, speak no evil, see no evil", None),
        ("12 34 !", None),
        ("", None),
    ],
)
def test_language(text, language):
    assert language_of(text) == language


def test_most_letters_decide_the_script():
    assert script_of("a 一只狗在草地上") == "Chinese"
    assert script_of("the dog 狗 runs") == "Latin"


def test_only_stop_words():
    assert only_stop_words("The with a.")
    assert not only_stop_words("the dog") and not only_stop_words("")


@pytest.mark.parametrize(
    "text, words",
    [
        ("a red dog, running.", ["a", "red", "dog,", "running."]),
        ("  spaced   out ", ["spaced", "out"]),
        ("dog . cat", ["dog", "cat"]),
        ("一只狗 dog", ["一", "只", "狗", "dog"]),
        ("well-known 3rd", ["well-known", "3rd"]),
        ("...", []),
        ("", []),
    ],
)
def test_words(text, words):
    assert [text[start:end] for start, end in word_spans(text)] == words
