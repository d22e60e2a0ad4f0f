"""Splits captions into words, whatever their script."""

import re

# Scripts written without spaces: a character counts as a word.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_WORD = re.compile(f"[{_UNSPACED}]|[^\\W{_UNSPACED}]+")


def split_words(text: str) -> list[str]:
    """Return the words of a text; in scripts written without spaces, its characters."""
    return _WORD.findall(text)
