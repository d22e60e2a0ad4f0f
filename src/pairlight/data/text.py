"""Cleans captions, naming every kind of change it makes."""

import re
import unicodedata
from collections.abc import Callable

from pairlight.words import split_words

# Invisible characters that captions pick up from web pages and editors; `\s` takes the rest.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u180e\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
# Zero-width joiners build emoji and the letters of several scripts, between two of them only.
_STRAY_JOINER = re.compile(
    r"(?:^|(?<=[\x00-\x7f\s]))[\u200c\u200d]+|[\u200c\u200d]+(?=[\x00-\x7f\s]|$)"
)
_SPACE_BEFORE = re.compile(r"\s+([,.;:!?]+)(?=[\s,.;:!?]|$)")
_REPEATED_END = re.compile(r"(?<!\.)\.(?:\s+\.)+$")
_WRAPPED = re.compile(r'"+([^"]*)"+|“([^“”]*)”|\'([^\']*)\'|‘([^‘’]*)’')


def clean_caption(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the caption in its clean form and the kinds of change that made it so.

    The kinds are the keys of `CHANGES`, in the order of their first use. Words, emoji, inner
    quotes and letter case stay. Cleaning twice is cleaning once.
    """
    kinds: dict[str, None] = {}
    settled = False
    while not settled:  # A step can make work for an earlier one, as quotes around spaces do.
        settled = True
        for kind, (step, _) in CHANGES.items():
            changed = step(text)
            if changed != text:
                text, settled = changed, False
                kinds[kind] = None
    return text, tuple(kinds)


def is_empty(text: str) -> bool:
    """Tell whether a caption says nothing: no letter, digit or symbol such as an emoji."""
    return not any(unicodedata.category(character)[0] in "LNS" for character in text)


def word_count(text: str) -> int:
    """Return the number of words, counting characters in scripts written without spaces."""
    return len(split_words(text))


def _unwrap(text: str) -> str:
    match = _WRAPPED.fullmatch(text)
    return next(group for group in match.groups() if group is not None) if match else text


def _no_invisible(text: str) -> str:
    return _STRAY_JOINER.sub("", _INVISIBLE.sub("", text))


CHANGES: dict[str, tuple[Callable[[str], str], str]] = {
    "unicode": (
        lambda text: unicodedata.normalize("NFC", text),
        "characters written in parts are put together (Unicode NFC)",
    ),
    "invisible": (_no_invisible, "control and zero-width characters are taken out"),
    "spaces": (
        lambda text: re.sub(r"\s+", " ", text).strip(),
        "tabs and runs of spaces become one space, none at the ends",
    ),
    "quotes": (_unwrap, "quotes around the whole caption are taken off"),
    "punctuation": (
        lambda text: _SPACE_BEFORE.sub(r"\1", _REPEATED_END.sub(".", text)),
        "spaces before , . ; : ! ? and repeated final periods are taken out",
    ),
}
