"""The page of hits: whole in itself, safe against names, patient with photos that are gone."""

import base64
import io
import os
import re
from html.parser import HTMLParser

from colours import paint
from PIL import Image

from pairlight.search.gallery import thumbnail, write_gallery
from pairlight.search.records import Hit, Stored


def hit(path, score=0.5, **more):
    return Hit(Stored(1, str(path), 1, 1, 48, 32, "2024-05-31T18:20:00"), score, 0.75, **more)


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *each) for each in attrs]


def test_the_page_is_whole_in_itself(tmp_path):
    photo = paint(tmp_path / "a.png", "red", "blue", size=(960, 640))
    out = tmp_path / "out.html"
    write_gallery(out, "red", [], [hit(photo)])
    page = Tags(out.read_text(encoding="utf-8"))
    assert "script" not in page.tags and "link" not in page.tags
    sources = [value for _, name, value in page.attributes if name == "src"]
    assert len(sources) == 1 and sources[0].startswith("data:image/jpeg;base64,")
    image = Image.open(io.BytesIO(base64.b64decode(sources[0].split(",")[1])), formats=["JPEG"])
    assert image.size == (320, 213)
    links = [value for tag, name, value in page.attributes if (tag, name) == ("a", "href")]
    assert links == [photo.as_uri()]
    assert "default-src 'none'" in out.read_text(encoding="utf-8")


def test_names_and_queries_cannot_become_markup(tmp_path):
    name = "<img src=x onerror=alert(1)>\"'&\n\x1b.png"
    os.rename(paint(tmp_path / "a.png", "red"), tmp_path / name)
    raw = os.fsdecode(os.fsencode(tmp_path) + b"/\xff<b>.png")
    os.rename(paint(tmp_path / "b.png", "red"), raw)
    out = tmp_path / "out.html"
    write_gallery(out, "<script>alert(1)</script>", ["<i>"], [hit(tmp_path / name), hit(raw)])
    text = out.read_text(encoding="utf-8")
    page = Tags(text)
    assert "script" not in page.tags and "i" not in page.tags
    assert page.tags.count("img") == 2 and not [a for a in page.attributes if a[1] == "onerror"]
    assert "\x1b" not in text and "\\xff" in text


def test_a_photo_that_is_gone_is_shown_by_name(tmp_path):
    out = tmp_path / "out.html"
    write_gallery(out, "red", [], [hit(tmp_path / "gone.png")])
    text = out.read_text(encoding="utf-8")
    assert "gone.png" in text and "cannot be opened" in text and "<img" not in text
    assert thumbnail(str(tmp_path / "gone.png")) is None


def test_facts_are_shown(tmp_path):
    copy = Stored(2, "/b.png", 1, 1, 1, 1, None)
    out = tmp_path / "out.html"
    write_gallery(out, "red", [], [hit(tmp_path / "a.png", duplicates=(copy,))])
    caption = re.search(r"<figcaption>(.*?)</figcaption>", out.read_text(encoding="utf-8"))[1]
    for fact in ("score 0.500", "relevance 75%", "2024-05-31 18:20:00", "+1 alike"):
        assert fact in caption
