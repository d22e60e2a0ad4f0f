"""Shows hostile file names safely, and matches names against globs."""

import fnmatch
import os
import re
from collections.abc import Sequence

# Joins the parts of one emoji; the only invisible character that a terminal should get as it is.
_JOINER = "\u200d"


def shown(name: str) -> str:
    r"""Return a file name as one safe line: control and unprintable characters as escapes.

    A newline comes as `\n`, a byte that is no UTF-8 as `\xff`, so a name can neither forge lines
    nor steer the terminal.
    """
    return "".join(
        each if each.isprintable() or each == _JOINER else _escape(each) for each in name
    )


def _escape(character: str) -> str:
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # how `os.fsdecode` carries a byte that is no UTF-8
        return f"\\x{number - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def glob_pattern(globs: Sequence[str]) -> re.Pattern[str]:
    """Return a pattern whose `match` tells whether a path fits one of `globs`.

    `*` and `?` match any character, slashes too. A glob fits the whole path or any end of it that
    starts after a slash: `*.png`, `2019/*` and `/home/me/photos/*` all do what they look like.
    """
    if os.altsep or os.sep != "/":
        globs = [each.replace(os.sep, "/") for each in globs]
    bodies = [fnmatch.translate(each.rstrip("/") or each) for each in globs]
    return re.compile("|".join(f"(?:(?s:.*/)?{body})" for body in bodies) or r"(?!)")


def slashes(path: str) -> str:
    """Return `path` with forward slashes, as globs are written."""
    return path if os.sep == "/" else path.replace(os.sep, "/")


def inside(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or below it; both absolute."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def counted(photos: int) -> str:
    """Return how many photos, in words."""
    return "1 photo" if photos == 1 else f"{photos} photos"
