"""pairlight index: what it prints and writes, and its one-line errors."""

import json
import os
import sys
from pathlib import Path

import pytest
import typer

import pairlight
from pairlight.cli.index import index
from pairlight.cli.main import app, run
from pairlight.cli.search import search

sys.path.insert(0, str(Path(__file__).parents[1] / "search"))
from colours import ColourModel, paint  # noqa: E402

APP = typer.Typer(rich_markup_mode=None)
APP.command("index")(index)
APP.command("search")(search)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pairlight, "load", lambda name: ColourModel())
    for colour in ("red", "green", "blue"):
        paint(tmp_path / "photos" / f"{colour}.png", colour)
    return tmp_path / "photos"


def test_a_folder_without_photos_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert run(APP, ["index", "empty", "--store", "a.db"]) == 0
    assert "0 photos in the store; name a folder that holds some" in capsys.readouterr().out


def test_a_run_tells_what_it_did(photos, capsys):
    (photos / "torn.jpg").write_bytes(b"torn")
    assert run(APP, ["index", "photos", "--store", "a.db", "--json", "a.json"]) == 0
    said = capsys.readouterr().out
    assert "3 photos in the store: 3 added, 3 embedded" in said
    assert "skipped 1:" in said and "torn.jpg" in said
    told = json.loads(Path("a.json").read_text(encoding="utf-8"))
    assert (told["photos"], told["added"], told["embedded"]) == (3, 3, 3)
    assert told["skipped"][0]["path"] == str(photos / "torn.jpg") and told["skipped"][0]["reason"]
    assert told["model"]["name"] == "colours" and told["roots"] == [str(photos)]
    assert run(APP, ["index", "--store", "a.db"]) == 0
    assert "3 unchanged" in capsys.readouterr().out


def test_quiet_and_json_on_stdout(photos, capsys):
    assert run(APP, ["index", "photos", "--store", "a.db", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert run(APP, ["index", "photos", "--store", "a.db", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["unchanged"] == 3


def test_only_the_first_skipped_files_are_printed(photos, capsys):
    for number in range(20):
        (photos / f"torn{number}.jpg").write_bytes(b"torn")
    assert run(APP, ["index", "photos", "--store", "a.db", "--json", "a.json"]) == 0
    said = capsys.readouterr().out
    assert said.count("torn") == 5 and "and 15 more" in said
    assert len(json.loads(Path("a.json").read_text(encoding="utf-8"))["skipped"]) == 20


def test_names_in_json_come_back_as_they_were(photos):
    os.rename(photos / "red.png", os.fsencode(photos) + b"/\xff\n.cr2")
    assert run(APP, ["index", "photos", "--store", "a.db", "--quiet", "--json", "a.json"]) == 0
    path = json.loads(Path("a.json").read_text(encoding="utf-8"))["skipped"][0]["path"]
    assert os.fsencode(path) == os.fsencode(photos) + b"/\xff\n.cr2"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["index", "nowhere", "--store", "a.db"], "nowhere: folder not found"),
        (["index", "--store", "a.db"], "no folder given"),
        (["index", "photos", "--store", "photos"], "is a folder"),
        (["index", "photos", "--store", "."], "is a folder"),
        (["index", "photos", "--store", ""], "is a folder"),
        (["index", "", "--store", "a.db"], "an empty name is no folder"),
        (["index", "photos", "--store", "photos/red.png"], "not a store"),
        (["index", "photos", "--store", "photos/red.png/a.db"], "cannot make this folder"),
        (["index", "photos", "--store", "milvus://x"], "only a file"),
        (["index", "photos"], "--store"),
    ],
)
def test_mistakes_are_one_line(photos, capsys, words, told):
    before = (photos / "red.png").read_bytes()
    assert run(APP, words) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1 and error.startswith("pairlight: ")
    assert (photos / "red.png").read_bytes() == before
    assert not Path("a.db").exists()  # nor is an empty store left behind


def test_looks_reach_the_store_and_the_json(photos, capsys):
    words = ["index", "photos", "--store", "photos.db"]
    assert run(APP, [*words, "--looks", "2", "--json", "out.json"]) == 0
    assert json.loads(Path("out.json").read_text())["looks"] == 2
    capsys.readouterr()
    assert run(APP, [*words, "--looks", "3"]) == 2
    assert "made with --looks 2" in capsys.readouterr().err
    assert run(APP, [*words, "--looks", "4"]) == 2


def test_another_model_is_offered_a_rebuild(photos, capsys, monkeypatch):
    assert run(APP, ["index", "photos", "--store", "a.db"]) == 0
    monkeypatch.setattr(pairlight, "load", lambda name: ColourModel(sha256="f" * 64))
    assert run(APP, ["index", "photos", "--store", "a.db"]) == 2
    assert "--rebuild" in capsys.readouterr().err
    assert run(APP, ["index", "photos", "--store", "a.db", "--rebuild"]) == 0


def test_an_interrupt_says_what_is_safe(photos, capsys, monkeypatch):
    class Stopped(ColourModel):
        def encode_pixels(self, pixels):
            raise KeyboardInterrupt

    monkeypatch.setattr(pairlight, "load", lambda name: Stopped())
    assert run(APP, ["index", "photos", "--store", "a.db"]) == 130
    assert "0 photos are in a.db; the same command goes on" in capsys.readouterr().out


def test_help_has_examples(capsys):
    assert run(APP, ["index", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Examples:" in shown and "pairlight index Photos --store photos.db" in shown


def test_a_mistyped_folder_leaves_no_store(tmp_path, capsys):
    store = tmp_path / "photos.db"
    assert run(app, ["index", str(tmp_path / "nowhere"), "--store", str(store)]) == 2
    assert "folder not found; check the path" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
