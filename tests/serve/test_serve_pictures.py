"""Photos and thumbnails: by id only, upright, without metadata, cached, and gone ones told."""

import io
import os

import pytest
from colours import paint
from PIL import Image

from pairlight.serve.problems import Problem
from pairlight.serve.thumbnails import Cache, Pictures


def opened(answer):
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/jpeg"
    image = Image.open(io.BytesIO(answer.content), formats=["JPEG"])
    image.load()
    return image


def test_sizes(client, ids, photos, index):
    assert opened(client.get(f"/api/v1/photos/{ids['green.png']}/thumbnail")).size == (320, 213)
    assert opened(client.get(f"/api/v1/photos/{ids['green.png']}")).size == (900, 600)
    assert opened(client.get(f"/api/v1/photos/{ids['red.png']}/thumbnail")).size == (48, 32)
    paint(photos / "large.png", "yellow", size=(3000, 1000))
    index()
    hit = client.get("/api/v1/search?text=yellow").json()["hits"][0]
    assert opened(client.get(hit["photo"])).size == (2048, 683)


def test_metadata_stays_at_home_and_pictures_stand_upright(client, index, photos):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "maker"
    exif.get_ifd(0x8825)[1] = "N"
    paint(photos / "turned.jpg", "yellow", "black", size=(96, 64), format="JPEG", exif=exif)
    index()
    hit = client.get("/api/v1/search?text=yellow").json()["hits"][0]
    for address in (hit["photo"], hit["thumbnail"]):
        answer = client.get(address)
        image = opened(answer)
        assert image.size == (64, 96) and not image.getexif()
        assert b"maker" not in answer.content and b"Exif" not in answer.content


def test_a_browser_asks_once(client, ids, library, photos, monkeypatch):
    address = f"/api/v1/photos/{ids['red.png']}/thumbnail"
    first = client.get(address)
    assert first.headers["cache-control"] == "private, max-age=600"
    etag = first.headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = client.get(address, headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == etag
    assert client.get(address, headers={"If-None-Match": '"other"'}).status_code == 200
    paint(photos / "red.png", "black", size=(64, 64))
    os.utime(photos / "red.png", (1, 1))
    changed = client.get(address, headers={"If-None-Match": etag})
    assert changed.status_code == 200 and changed.headers["etag"] != etag
    assert opened(changed).size == (64, 64)


def test_thumbnails_are_made_once(library, ids, monkeypatch):
    import pairlight.serve.thumbnails as module

    made = []
    monkeypatch.setattr(module, "thumbnail", lambda path, side: made.append(path) or b"jpeg")
    pictures = Pictures(library.store, 1000)
    for _ in range(3):
        assert pictures.thumbnail(ids["red.png"]).jpeg == b"jpeg"
    assert len(made) == 1
    pictures.view(ids["red.png"])
    assert len(made) == 2 and pictures.cache.size == 4


def test_the_cache_is_bounded_and_drops_what_was_unused_longest():
    cache = Cache(10)
    for key in "abc":
        cache.put(key, b"1234")
        cache.get("a")
    assert cache.get("a") and cache.get("c") and cache.get("b") is None
    cache.put("a", b"12345678")
    assert cache.size == 8 and cache.get("c") is None
    cache.put("large", b"x" * 11)
    assert cache.get("large") is None and cache.size == 8


def test_photos_that_are_gone(client, ids, photos):
    os.remove(photos / "red.png")
    (photos / "green.png").write_bytes(b"no image any more")
    os.remove(photos / "sea" / "blue.png")
    os.symlink("/etc/passwd", photos / "sea" / "blue.png")
    for end in ("", "/thumbnail"):
        for name, told in (
            ("red.png", "is gone"),
            ("green.png", "cannot be opened"),
            ("blue.png", "cannot be opened"),
        ):
            answer = client.get(f"/api/v1/photos/{ids[name]}{end}")
            assert answer.status_code == 410 and told in answer.json()["error"]
            assert "secret" not in answer.text and "root:" not in answer.text
        answer = client.get(f"/api/v1/photos/999{end}")
        assert answer.status_code == 404 and "no photo 999" in answer.json()["error"]


@pytest.mark.parametrize(
    "id",
    ["../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd", "red.png", "0", "-1"]
    + ["1.5", "1%00", "9" * 30, "1;drop", "/etc/passwd", "%2fetc%2fpasswd", "..\\..\\x"],
)
def test_photos_have_no_other_names_than_ids(steady, id):
    for address in (f"/api/v1/photos/{id}", f"/api/v1/photos/{id}/thumbnail", f"/static/{id}"):
        answer = steady.get(address)
        assert answer.status_code in (404, 422), address
        assert set(answer.json()) == {"error"} and "root:" not in answer.text


def test_a_picture_of_nothing(library):
    with pytest.raises(Problem, match="no photo 7777"):
        Pictures(library.store, 1000).thumbnail(7777)
