"""Tells the language of a caption from its script and its commonest words, or that it cannot."""

import unicodedata
from collections import Counter
from functools import cache

from pairlight.data.text import is_empty

# The commonest words of each language, as captions use them. Those that several languages share
# count for each of them, and so decide nothing.
STOP_WORDS = {
    "English": "a an the of in on at is are and with to his her its their it he she they while "
    "for from by as into over up down out off near through that there who which has "
    "have be being this some two one other another next front while him them under "
    "around do does no not i you all",
    "German": "ein eine einen einem einer der die das den dem des und mit auf im in ist sind "
    "auf von vor zu zwei einer durch über unter neben er sie es nicht während sich "
    "bei am als zum zur",
    "French": "un une des le la les du de et avec sur dans est sont en au aux qui pour par deux "
    "son sa ses il elle ils dans près devant sous pendant se tandis ce cette",
    "Spanish": "un una unos unas el la los las de del y con en sobre es son por para que dos su "
    "sus se al mientras está están junto muy hay",
    "Italian": "un uno una il lo la i gli le di del della e con su sul sulla in nel nella è sono "
    "che per da due mentre si al alla sta",
    "Portuguese": "um uma uns umas de do da dos das e com na nos nas é são por para que dois duas "
    "seu sua ao enquanto está estão",
    "Dutch": "een de het van en met op in is zijn naar voor door aan bij twee die dat zijn "
    "haar over terwijl hun er te uit",
}
_WORDS = {language: frozenset(words.split()) for language, words in STOP_WORDS.items()}
# Scripts by the first word of a character's Unicode name; those written together count together.
_TOGETHER = {"HIRAGANA": "Japanese", "KATAKANA": "Japanese", "CJK": "Chinese", "HANGUL": "Korean"}
_UNSPACED = {"Chinese", "Japanese", "Thai", "Lao", "Khmer", "Myanmar"}
_FEWEST = 2  # stop words that must be seen before a language is named


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case, without punctuation at their ends."""
    words = (word.strip(".,;:!?\"'()[]“”‘’…-–—") for word in text.lower().split())
    return [word for word in words if word]


def only_stop_words(text: str) -> bool:
    """Tell whether a text has words and all of them are among the commonest of one language."""
    words = words_of(text)
    return bool(words) and any(known.issuperset(words) for known in _WORDS.values())


def language_of(text: str) -> str | None:
    """Return the language, or for another script than Latin the script, of a text.

    Latin script is told apart by stop words: at least two of one language, each counted once, and
    more of it than of any other. None where that does not decide, as in a few words or a language
    not listed.
    """
    script = script_of(text)
    if script != "Latin":
        return script
    counts = Counter({name: 0 for name in _WORDS})
    for word in set(words_of(text)):  # a word said twice proves no more
        counts.update(name for name, known in _WORDS.items() if word in known)
    (first, most), (_, second) = counts.most_common(2)
    return first if most >= _FEWEST and most > second else None


def script_of(text: str) -> str | None:
    """Return the script that most letters of a text are of; None without a letter.

    Chinese characters beside Japanese syllables are Japanese.
    """
    counts = Counter(_script(letter) for letter in text if letter.isalpha())
    if not counts:
        return None
    if counts["Japanese"]:
        counts["Japanese"] += counts.pop("Chinese", 0)
    return counts.most_common(1)[0][0]


@cache
def _script(letter: str) -> str:
    first = unicodedata.name(letter, "unnamed").split()[0].split("-")[0]
    return _TOGETHER.get(first, first.capitalize())


def word_spans(text: str) -> list[tuple[int, int]]:
    """Return where the words of a text start and end, punctuation that touches them included.

    Between spaces; in scripts written without spaces every letter is a word. What has no letter,
    digit or symbol is none.
    """
    spans: list[list[int]] = []
    open_ = False  # whether the next character belongs to the word before it
    for place, letter in enumerate(text):
        if letter.isspace():
            open_ = False
            continue
        single = letter.isalpha() and _script(letter) in _UNSPACED
        if open_ and not single:
            spans[-1][1] = place + 1
        else:
            spans.append([place, place + 1])
        mark = unicodedata.category(letter)[0] in "PM"
        open_ = not single if not mark else True
    return [(start, end) for start, end in spans if not is_empty(text[start:end])]
