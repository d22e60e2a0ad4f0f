"""Splits captions into words, whatever their script, and English ones into what they show."""

import re
import unicodedata
from functools import lru_cache

from snowballstemmer import stemmer

# Scripts written without spaces: a character counts as a word.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_WORD = re.compile(f"[{_UNSPACED}]|[^\\W{_UNSPACED}]+")
# Words that say nothing, or little, of what is seen.
_COMMON = frozenset(
    "a an the of in on at is are with and to his her its their it he she they while for from by as "
    "into over under up down out off near through next front two three one some other another that "
    "this there who which has have be being very".split()
)
# Where a caption is cut into pieces as short as what people search for, and how long they may be.
_BREAKS = frozenset(
    "in on at with and is are of to from into onto over under near by while as for through down up "
    "next behind across along around during that who which has have wearing there off out be "
    "being".split()
)
_WORDS = 4


def split_words(text: str) -> list[str]:
    """Return the words of a text; in scripts written without spaces, its characters."""
    return _WORD.findall(text)


def content_words(text: str) -> set[str]:
    """Return the words of an English text that say what is seen, by their stems (Porter 2).

    Those of `PEOPLE` are among them where they are all that is said: "a man".
    """
    words = shown_words(text)
    return words - PEOPLE or words


def shown_words(text: str) -> set[str]:
    """Return all that an English text says is seen, by stems; those of `PEOPLE` are among them."""
    words = (word for word in latin_words(text) if len(word) > 2)
    return {_stem(word) for word in words if word not in _COMMON}


@lru_cache(100_000)
def _stem(word: str) -> str:
    return stemmer("english").stemWord(word)  # a new one: a stemmer is not for several threads


# Half of all captions have these, as stems: they tell something only where nothing else is said.
PEOPLE = frozenset(_stem(word) for word in ("man", "woman", "person", "people"))


def latin_words(text: str) -> list[str]:
    """Return the words of a text in Latin letters, in lower case and without accents."""
    plain = unicodedata.normalize("NFKD", text.lower())  # café is cafe, as to the text encoder
    return re.findall(r"[a-z]+", "".join(c for c in plain if not unicodedata.combining(c)))


def pieces(caption: str) -> list[str]:
    """Return the pieces of an English caption between words that join them: "a brown dog"."""
    found: list[list[str]] = [[]]
    for word in re.findall(r"[a-z']+|[^a-z' ]+", caption.lower()):
        if word in _BREAKS or not word[0].isalpha():
            found.append([])
        else:
            found[-1].append(word)
    joined = [" ".join(words) for words in found if len(words) <= _WORDS]
    return [each for each in joined if content_words(each)]
