"""Counts the words of captions and finds those that name what is seen."""

from collections import defaultdict
from collections.abc import Iterable

from pairlight.words import split_words

# English words that hold a sentence together and name nothing in a picture.
STOP_WORDS = frozenset(
    """
    a about above across after again against all along alongside also am among amongst an and
    another any anything are aren around as at away be because been before behind being below
    beneath beside besides between beyond both but by can cannot could couldn did didn do does doesn
    doing don done down during each either else etc even ever every few for from front further get
    gets getting go goes going got had hadn has hasn have haven having he her here hers herself him
    himself his how i if in inside into is isn it its itself just ll like lot lots made make makes
    making many may me might more most much must my myself near nearby next no nor not nothing now
    of off on one ones only onto or other others our ours out outside over own past per put re same
    shall she should so some somebody someone something somewhere still such t than that the their
    theirs them themselves then there these they this those though through throughout to together
    too top toward towards under underneath until up upon us ve very via was wasn we well were weren
    what when where whether which while who whom whose why will with within without would you your
    yours
    """.split()
)


def words(caption: str) -> list[str]:
    """Return the words of a caption in small letters; scripts without spaces by character."""
    return split_words(caption.lower())


def content_words(
    captions: Iterable[str], owner: Iterable[int], most: int = 20, images: int = 20
) -> list[tuple[str, list[int]]]:
    """Return the `most` frequent content words, each with the captions that hold it, in order.

    Frequent means in the captions of many images, of at least `images`; of equals the first in the
    alphabet. English stop words, single Latin letters and bare numbers are no content.
    """
    found: dict[str, list[int]] = defaultdict(list)
    seen: dict[str, set[int]] = defaultdict(set)
    for row, (caption, image) in enumerate(zip(captions, owner, strict=True)):
        for word in set(words(caption)):
            found[word].append(row)
            seen[word].add(int(image))
    kept = [w for w in found if len(seen[w]) >= images and _names_something(w)]
    kept.sort(key=lambda word: (-len(seen[word]), word))
    return [(word, found[word]) for word in kept[:most]]


def _names_something(word: str) -> bool:
    return word not in STOP_WORDS and not (word.isascii() and len(word) == 1) and not word.isdigit()
