"""Knows the words a model has learnt from, and so how familiar those of a query are to it."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from pairlight.errors import ModelError
from pairlight.words import PEOPLE, content_words, latin_words, shown_words

# A model.json stays small, and a word that was written once tells nothing but who wrote it.
MOST, LEAST = 20_000, 2
# From so many captions on a word counts as known. Among photos like those of training still more
# would tell how often a thing is to be found; among others they mislead.
KNOWN = 200
# Words, and each other sign by itself; endings and whole words that English runs together.
_PARTS = re.compile(r"[^\W_]+|[^\w\s]")
_SHORT_FORMS = re.compile(r"\b\w+n['’]t\b|['’](s|re|ve|ll|d|m)\b")


@dataclass(frozen=True)
class Vocabulary:
    """How many training captions have each content word, `KNOWN` at most; empty if not known."""

    counts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, captions: Iterable[str]) -> "Vocabulary":
        """Return the vocabulary of English captions: the `MOST` frequent words."""
        counted = Counter(word for text in captions for word in shown_words(text))
        return cls({word: min(n, KNOWN) for word, n in counted.most_common(MOST) if n >= LEAST})

    @classmethod
    def from_dict(cls, told: object) -> "Vocabulary":
        """Return the vocabulary that `to_dict` described; raises `ModelError` for anything else."""
        counts: dict[str, int] = {}
        for count, words in told.items() if isinstance(told, dict) else [("", told)]:
            if not re.fullmatch("[1-9][0-9]{0,3}", str(count)) or not isinstance(words, str):
                raise ModelError("calibration: words must be listed by count; fit it anew")
            counts.update(dict.fromkeys(words.split(), int(count)))
        return cls(counts)

    def to_dict(self) -> dict[str, str]:
        """Return it as plain values: for each count the words that have it."""
        words: dict[int, list[str]] = {}
        for word, count in sorted(self.counts.items()):
            words.setdefault(count, []).append(word)
        return {str(count): " ".join(words[count]) for count in sorted(words)}

    def familiarity(self, text: str) -> float:
        """Return the mean log(1 + count) of a text's content words; 0 for an unknown vocabulary.

        A text of nothing but words that are in nearly every caption (a man) is wholly familiar.
        """
        if not self.counts or not latin_words(text):
            return 0.0
        counts = [self._count(word) for word in content_words(text)] or [KNOWN]
        return sum(math.log1p(min(n, KNOWN)) for n in counts) / len(counts)

    def _count(self, word: str) -> int:
        # Where words were counted before those of people were, these are known.
        return self.counts.get(word, KNOWN if word in PEOPLE else 0)

    def unknown(self, text: str) -> list[str]:
        """Return the words and pictographs of a text that say something and are not here.

        Words in scripts that it cannot count are never here, whole runs of them in scripts written
        without spaces; numbers and short forms (don't) are not judged. An empty vocabulary names
        none.
        """
        if not self.counts:
            return []
        words = dict.fromkeys(_PARTS.findall(_SHORT_FORMS.sub(" ", text.lower())))
        return [word for word in words if not (word.isdecimal() or self._knows(word))]

    def _knows(self, word: str) -> bool:
        if not word[0].isalnum():
            return unicodedata.category(word[0]) != "So"  # a mark such as + names nothing
        if any(each.isdecimal() for each in word):
            return False  # dog123 is not the word dog
        stems = content_words(word)
        if not stems:
            return bool(latin_words(word))  # too common or too short to count
        return any(self._count(stem) for stem in stems)
