"""Puts sections, data, style and scripts into one HTML file that reaches for nothing outside."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from string import Template

from pairlight.report.markup import Html, embed_json, tag
from pairlight.types import Json

HERE = Path(__file__).parent
SCRIPTS = ("page.js", "map.js", "panel.js", "failures.js")


def write_page(title: str, subtitle: str, parts: dict[str, Html], data: Json) -> list[str]:
    """Return the page's pieces of text: `parts` by the template's names, `data` for the scripts.

    The page's own policy lets it load pictures that are part of it, and run the one style and the
    one script whose hashes it names; whatever else slipped in would not run.
    """
    style = read("page.css")
    script = "\n".join(read(name) for name in SCRIPTS)
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    )
    icon = base64.b64encode(read("icon.svg").encode()).decode("ascii")
    values = {
        "policy": policy,
        "title": tag("title", title),
        "subtitle": tag("span", subtitle, dir="auto"),
        "icon": f"data:image/svg+xml;base64,{icon}",
        "style": style,
        **parts,
    }
    page = Template(read("page.html")).substitute(values)
    # Not through the template: the data is large, and nothing in it must be read as a name.
    before, after = page.split("<!--DATA-->")
    return [
        before,
        '<script type="application/json" id="data">',
        embed_json(data),
        f"</script>\n<script>{script}</script>",
        after,
    ]


def read(name: str) -> str:
    """Return the text of one of this part's own files."""
    return (HERE / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    # Browsers hash the element's text, in which line ends are always "\n".
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def bullets(lines: Sequence[str]) -> Html | None:
    """Return a list of texts, or None of none; a line that begins with a space goes on."""
    items: list[str] = []
    for line in lines:
        if line.startswith(" ") and items:
            items[-1] += " " + line.strip()
        else:
            items.append(line)
    return tag("ul", *(tag("li", item) for item in items)) if items else None
