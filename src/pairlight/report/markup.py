"""Builds HTML in which every text is escaped, so that no caption or file name becomes markup."""

import html
import json
from collections.abc import Sequence
from typing import Any


class Html(str):
    """Text that is HTML already."""


def tag(name: str, *children: object, **attributes: object) -> Html:
    """Return an element; children that are not `Html` are escaped, None is left out.

    Attributes are escaped as well; None and False are left out, True has no value. `class_` and
    `for_` lose their underscore, other underscores become hyphens.
    """
    words = [name]
    for key, value in attributes.items():
        key = key.rstrip("_").replace("_", "-")
        if value is True:
            words.append(key)
        elif value is not None and value is not False:
            words.append(f'{key}="{html.escape(str(value))}"')
    start = f"<{' '.join(words)}>"
    if name in ("img", "br", "input", "meta", "link"):
        return Html(start)
    return Html(f"{start}{join(*children)}</{name}>")


def join(*children: object) -> Html:
    """Return the children one after another, escaped unless they are `Html`; None is left out."""
    parts = [c if isinstance(c, Html) else html.escape(str(c)) for c in children if c is not None]
    return Html("".join(parts))


def table(
    head: Sequence[object], rows: Sequence[Sequence[object]], caption: str | None = None
) -> Html:
    """Return a table that scrolls sideways where it is too wide; the first column heads its row."""
    top = tag("tr", *(tag("th", cell, scope="col") for cell in head))
    body = [
        tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:]))
        for row in rows
    ]
    words = tag("caption", caption) if caption else None
    inner = tag("table", words, tag("thead", top), tag("tbody", *body))
    # A region that scrolls must be reachable by keyboard, and then needs a name.
    return tag("div", inner, class_="scroll", tabindex="0", role="group",
               aria_label=caption or "Table")  # fmt: skip


def embed_json(value: Any) -> Html:
    """Return `value` as JSON that can stand inside a script element.

    Neither a closing tag nor the beginning of a comment can occur in it.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    # Half a surrogate pair, as odd file names have, is no UTF-8; as an escape it is JSON still.
    return Html(text.encode("utf-8", "backslashreplace").decode())


def number(value: float | None, digits: int = 1) -> str:
    """Return a number for people, "–" for none; no "-0.0"."""
    return "–" if value is None else f"{round(value, digits) + 0.0:,.{digits}f}"
