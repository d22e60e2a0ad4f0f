"""Writes hits as one HTML page that needs no other file, no script and no network."""

import base64
import io
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from pairlight.errors import ConfigError, DataError
from pairlight.files import write_text_atomic
from pairlight.search.names import shown
from pairlight.search.photo import open_upright
from pairlight.search.records import Hit
from pairlight.threads import in_threads

SIDE = 320  # pixels of a thumbnail's longer side
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; font-family: system-ui, sans-serif; }}
body {{ margin: 1.5rem; }}
main {{ display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); }}
figure {{ margin: 0; padding: .6rem; border: 1px solid #8886; border-radius: .5rem; }}
img, .none {{ width: 100%; height: 13rem; object-fit: contain; }}
.none {{ display: grid; place-items: center; }}
figcaption {{ font-size: .85rem; overflow-wrap: anywhere; }}
small {{ opacity: .75; }}
</style></head><body>
<h1>{title}</h1>
{notes}<main>
"""


def check_gallery(path: Path | str) -> None:
    """Raise `ConfigError` for a name that is not one of a web page, before any work is done."""
    if Path(path).suffix.lower() not in (".html", ".htm"):
        what = "it is a web page; name a file that ends in .html"
        raise ConfigError(f"--gallery {str(path)!r}: {what}")


def write_gallery(path: Path | str, title: str, notes: Sequence[str], hits: list[Hit]) -> None:
    """Write `hits` as a page of thumbnails below `notes` about them, a paragraph each.

    A photo that will not open is shown by name only.
    """
    write_text_atomic(path, _parts(title, notes, hits))


def _parts(title: str, notes: Sequence[str], hits: list[Hit]) -> Iterator[str]:
    said = "".join(f"<p>{escape(shown(each))}</p>\n" for each in notes)
    yield _HEAD.format(title=escape(shown(title)), notes=said)
    thumbnails = in_threads(lambda hit: thumbnail(hit.photo.path), hits)
    for place, (hit, jpeg) in enumerate(zip(hits, thumbnails, strict=True), 1):
        yield _figure(place, hit, jpeg)
    yield "</main></body></html>\n"


def _figure(place: int, hit: Hit, jpeg: bytes | None) -> str:
    name = escape(shown(Path(hit.photo.path).name))
    if jpeg:
        data = base64.b64encode(jpeg).decode("ascii")
        picture = f'<img alt="{name}" src="data:image/jpeg;base64,{data}">'
    else:
        picture = '<span class="none">cannot be opened now</span>'
    facts = [f"score {hit.score:.3f}"]
    if hit.relevance is not None:
        facts.append(f"relevance {hit.relevance:.0%}")
    if hit.photo.taken:
        facts.append(hit.photo.taken.replace("T", " "))
    if hit.duplicates:
        facts.append(f"+{len(hit.duplicates)} alike")
    link, folder = (
        escape(Path(hit.photo.path).as_uri()),
        escape(shown(str(Path(hit.photo.path).parent))),
    )
    return (
        f'<figure><a href="{link}">{picture}</a><figcaption>{place}. <b>{name}</b><br>'
        f"{escape(', '.join(facts))}<br><small>{folder}</small></figcaption></figure>\n"
    )


def thumbnail(path: str, side: int = SIDE) -> bytes | None:
    """Return a small JPEG of a photo, None when it cannot be opened."""
    try:
        image = open_upright(path, side)
    except DataError:
        return None
    image.thumbnail((side, side))
    held = io.BytesIO()
    image.save(held, "JPEG", quality=80)
    return held.getvalue()
