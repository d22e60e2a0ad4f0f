"""The search routes: words, photos, filters, what is refused, and a store that changes."""

import os
import shutil
import sys

import pytest
from colours import ColourModel, paint


def names(answer):
    assert answer.status_code == 200, answer.text
    return [hit["name"] for hit in answer.json()["hits"]]


def refused(answer, status):
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error"} and "\n" not in body["error"]
    assert "secret" not in answer.text and "Traceback" not in answer.text
    return body["error"]


def test_words(client, ids):
    answer = client.get("/api/v1/search", params={"text": "something red"})
    assert names(answer) == ["red.png", "flag.png"]
    body = answer.json()
    assert (body["photos"], body["searched"], body["cutoff"], body["note"]) == (4, 4, 0.6, "")
    hit = body["hits"][0]
    assert hit["folder"] == "photos" and body["hits"][1]["folder"] == "photos/sea"
    assert hit["relevance"] == body["best"] > 0.99 and hit["score"] == pytest.approx(1, abs=0.01)
    assert hit["id"] == ids["red.png"] and (hit["width"], hit["height"]) == (48, 32)
    assert client.get(hit["thumbnail"]).headers["content-type"] == "image/jpeg"
    assert "secret" not in answer.text
    assert answer.headers["cache-control"] == "no-store"


def test_nothing_matches_unless_all_is_asked_for(steady):
    body = steady.get("/api/v1/search", params={"text": "a unicorn"}).json()
    assert body["hits"] == [] and body["best"] < 0.5
    assert [hit["relevance"] for hit in body["nearest"]][0] == body["best"]
    assert len(body["nearest"]) == 3 and body["nearest"][0]["thumbnail"]
    assert steady.get("/api/v1/search?text=red").json()["nearest"] == []
    assert steady.get("/api/v1/search?text=a+unicorn&all=true").json()["nearest"] == []
    assert len(names(steady.get("/api/v1/search?text=a+unicorn&all=true"))) == 4


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"text": "blue", "k": "1"}, ["blue.png"]),
        ({"text": "red", "not": ["blue", "white"], "k": "1"}, ["red.png"]),
        ({"text": "blue", "path": "photos/sea/*"}, ["blue.png", "flag.png"]),
        ({"text": "red", "path": "sea/*"}, ["flag.png"]),
        ({"text": "red", "min_width": "100", "all": "true"}, ["green.png"]),
        ({"text": "red", "after": "2020"}, []),
        ({"text": "red", "max_size": "1"}, []),
    ],
)
def test_what_narrows_a_search(steady, asked, found):
    assert names(steady.get("/api/v1/search", params=asked)) == found
    assert names(steady.post("/api/v1/search", data=asked)) == found


def test_filters_by_path_tell_nothing_of_what_is_above_the_folders(client, photos):
    for glob in ("*secret*", "secret/*", f"{photos.parent}/*", f"{photos}/*", "/*"):
        asked = {"text": "red", "all": "true", "path": glob}
        assert names(client.get("/api/v1/search", params=asked)) == [], glob


def test_a_photo_finds_itself(client, photos):
    with open(photos / "sea" / "flag.png", "rb") as file:
        answer = client.post("/api/v1/search", files={"image": ("../../x.png", file)})
    assert names(answer)[0] == "flag.png"
    body = answer.json()
    assert body["best"] is None and "plain text" in body["note"] and len(body["hits"]) == 4


def test_a_photo_and_words(client, photos):
    def first(words):
        files = {"image": (photos / "sea" / "blue.png").read_bytes()}
        return names(client.post("/api/v1/search", data=words, files=files))[0]

    assert first({}) == "blue.png" and first({"text": ""}) == "blue.png"
    assert first({"text": "red white"}) == "flag.png"


def test_more_like_this_leaves_the_photo_and_its_copies_out(client, index, photos, ids):
    id = ids["flag.png"]
    found = names(client.get(f"/api/v1/similar/{id}"))
    assert set(found[:2]) == {"blue.png", "red.png"} and found[2:] == ["green.png"]
    shutil.copy(photos / "sea" / "flag.png", photos / "copy.png")
    index()
    for fold in ("true", "false"):
        answer = client.get(f"/api/v1/similar/{id}", params={"k": 2, "fold": fold})
        assert names(answer) == found[:2]
    answer = client.get(f"/api/v1/similar/{id}", params={"path": "sea/*"})
    assert names(answer) == ["blue.png"]
    assert "no photo 99" in refused(client.get("/api/v1/similar/99"), 404)
    assert "no such parameter" in refused(client.get(f"/api/v1/similar/{id}?text=red"), 422)


def test_copies_are_told(client, index, photos):
    shutil.copy(photos / "red.png", photos / "zz.png")
    index()
    hit = client.get("/api/v1/search?text=red").json()["hits"][0]
    assert [each["name"] for each in hit["duplicates"]] == ["zz.png"]
    assert names(client.get("/api/v1/search?text=red&fold=false"))[:2] == ["red.png", "zz.png"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, "nothing to search for"),
        ({"text": "  "}, "nothing to search for"),
        ({"not": "red"}, "nothing to search for"),
        ({"text": "red", "k": "0"}, "k: "),
        ({"text": "red", "k": "501"}, "k: "),
        ({"text": "red", "k": "many"}, "k: "),
        ({"text": "r" * 1001}, "text: "),
        ({"text": "red", "not": ["a"] * 9}, "not: "),
        ({"text": "red", "after": "soon"}, "after soon: not a date"),
        ({"text": "red", "min_size": "big"}, "min_size big: not a size"),
        ({"text": "red", "min_width": "-1"}, "min_width: "),
        ({"text": "red", "not": ["red", "red"]}, "cancel each other out; change its not"),
        ({"text": "red", "page": "2"}, "page: there is no such parameter"),
    ],
)
def test_searches_that_make_no_sense(steady, asked, told):
    assert told in refused(steady.get("/api/v1/search", params=asked), 422)
    assert told in refused(steady.post("/api/v1/search", data=asked), 422)


def test_what_is_posted_must_be_a_form_and_its_image_a_file(steady):
    told = refused(steady.post("/api/v1/search", json={"text": "red"}), 415)
    assert told.startswith("application/json: send a form")
    told = refused(steady.post("/api/v1/search", data={"image": "red.png"}), 422)
    assert told.startswith("image: a file is expected here, not text")


def test_no_parameter_goes_unheard(steady):
    told = refused(steady.post("/api/v1/search?k=1", data={"text": "red"}), 422)
    assert told == "k: parameters of a POST go into its form, not its address"
    twice = {"text": ["red", "blue"], "not": ["green", "white"]}
    for answer in (
        steady.get("/api/v1/search", params=twice),
        steady.post("/api/v1/search", data=twice),
    ):
        assert refused(answer, 422) == "text: given 2 times; once is what can be asked for"
    told = refused(steady.get("/api/v1/similar/1", params={"k": ["1", "2"]}), 422)
    assert told.startswith("k: given 2 times")
    with open(__file__, "rb") as one, open(__file__, "rb") as two:
        answer = steady.post("/api/v1/search", files=[("image", one), ("image", two)])
    assert refused(answer, 422).startswith("image: given 2 times")


def test_other_addresses_and_methods(steady):
    assert "/docs" in refused(steady.get("/api/v1/nothing"), 404)
    assert "/docs" in refused(steady.get("/api/v1/search/"), 404)
    answer = steady.delete("/api/v1/search")
    assert "DELETE" in refused(answer, 405) and "GET" in answer.headers["allow"]


def test_photos_that_are_indexed_meanwhile_are_found_and_deleted_ones_are_not(
    client, index, photos
):
    assert names(client.get("/api/v1/search?text=yellow")) == []
    paint(photos / "sun.png", "yellow")
    os.remove(photos / "red.png")
    index()
    assert names(client.get("/api/v1/search?text=yellow")) == ["sun.png"]
    assert names(client.get("/api/v1/search?text=red")) == ["flag.png"]
    assert client.get("/api/v1/stats").json()["photos"] == 4


def test_a_folder_that_is_indexed_meanwhile_is_shown_by_its_name(client, index, tmp_path):
    names(client.get("/api/v1/search?text=red"))
    paint(tmp_path / "secret" / "more" / "2020" / "sun.png", "yellow")
    index(tmp_path / "secret" / "more")
    hit = client.get("/api/v1/search?text=yellow").json()["hits"][0]
    assert hit["folder"] == "more/2020"
    assert client.get("/api/v1/stats").json()["folders"] == ["more", "photos"]


def test_a_store_that_is_rebuilt_with_another_model(client, index, caplog):
    index(model=ColourModel(sha256="e" * 64))
    for address in ("/api/v1/search?text=red", "/api/v1/similar/1"):
        answer = client.get(address)
        assert "another model" in refused(answer, 503) and answer.headers["retry-after"] == "60"
    assert "cannot search them" in caplog.text


def test_a_store_that_breaks_tells_no_path(client, library, caplog):
    library.store.close()
    for address in ("/api/v1/search?text=red", "/api/v1/similar/1", "/api/v1/stats"):
        answer = client.get(address)
        assert "cannot be read now" in refused(answer, 503) and answer.headers["retry-after"] == "5"
    assert "photos.db" in caplog.text


def test_what_is_our_fault_is_told_in_one_line(client, model, monkeypatch, caplog):
    monkeypatch.setattr(model, "encode_texts", lambda texts: 1 / 0)
    answer = client.get("/api/v1/search?text=red")
    assert "internal error" in refused(answer, 500)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "ZeroDivisionError" in caplog.text


HOSTILE = [
    b"quo\"te's<img src=x onerror=alert(1)>.png",
    b"new\nline\x1b[2J.png",
    b"\xff\xfe.png",
    "\u202egnp.exe.png".encode(),
]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse some of these names")
def test_hostile_names_come_as_one_safe_line(client, index, photos, tmp_path):
    for number, name in enumerate(HOSTILE):
        picture = paint(tmp_path / "one.png", "yellow", seed=number + 1)
        os.rename(os.fsencode(picture), os.fsencode(photos / "sea") + b"/" + name)
    index()
    hits = client.get("/api/v1/search?text=yellow&fold=false").json()["hits"]
    found = {hit["name"] for hit in hits}
    assert "quo\"te's<img src=x onerror=alert(1)>.png" in found
    assert found >= {r"new\nline\x1b[2J.png", r"\xff\xfe.png", r"\u202egnp.exe.png"}
    assert all(client.get(hit["thumbnail"]).status_code == 200 for hit in hits)


def test_stats_and_health(client, library):
    body = client.get("/api/v1/stats").json()
    assert body["photos"] == 4 and body["folders"] == ["photos"] and body["skipped"] == 0
    assert body["model"] == {"name": "colours", "embed_dim": 8} and body["cutoff"] == 0.6
    assert body["limits"] == {"max_upload_mb": 20.0, "timeout": 20.0, "queue": 16}
    assert client.get("/healthz").json() == {"status": "ok"}


def test_an_empty_store(client, index, photos):
    shutil.rmtree(photos)
    photos.mkdir()
    from pairlight.search.store import open_store

    with open_store(str(photos.parent / "photos.db"), write=True) as store:
        from pairlight.search.index import index_photos

        index_photos(store, ColourModel(), [str(photos)], prune=True)
    body = client.get("/api/v1/search?text=red").json()
    assert body["hits"] == [] and body["photos"] == 0
