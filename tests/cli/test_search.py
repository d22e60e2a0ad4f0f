"""pairlight search: lines, table, JSON, gallery, notes and one-line errors."""

import io
import json
import os
import sys
from pathlib import Path

import pytest
from test_index import APP, photos  # noqa: F401

import pairlight
from pairlight.cli.main import run
from pairlight.search.calibration import Calibration
from pairlight.search.records import Hit, Stored
from pairlight.search.searcher import Result
from pairlight.search.show import print_result

sys.path.insert(0, str(Path(__file__).parents[1] / "search"))
from colours import ColourModel, paint  # noqa: E402


@pytest.fixture
def store(photos):  # noqa: F811
    paint(photos / "both.png", "red", "blue")
    assert run(APP, ["index", "photos", "--store", "a.db", "--quiet"]) == 0
    return photos


def test_in_a_pipe_a_hit_is_a_line(store, capsys):
    assert run(APP, ["search", "red", "--store", "a.db", "-k", "2"]) == 0
    said = capsys.readouterr()
    lines = [line.split("\t") for line in said.out.splitlines()]
    assert [line[-1] for line in lines] == [str(store / "red.png"), str(store / "both.png")]
    assert lines[0][0] == "0.999" or lines[0][0] == "1.000"
    assert lines[0][1] == "-" and "no calibration" in said.err


def test_json(store, capsys):
    words = ["search", "red", "--not", "blue", "--store", "a.db", "--path", "*.png", "--json", "-"]
    assert run(APP, words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["query"]["text"] == "red" and told["query"]["not"] == ["blue"]
    assert told["query"]["filters"] == {"path": "*.png"}
    assert [Path(hit["path"]).name for hit in told["hits"]][0] == "red.png"
    assert all(set(hit) >= {"path", "score", "relevance"} for hit in told["hits"])
    assert told["photos"] == told["searched"] == 4 and told["note"]


def test_search_by_example_and_gallery(store, capsys):
    words = ["search", "--image", "photos/blue.png", "--store", "a.db", "--gallery", "out.html"]
    assert run(APP, words) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0].endswith("blue.png") and "wrote out.html" in said
    assert Path("out.html").read_text(encoding="utf-8").count("<img") == 4


def test_nothing_matches(store, capsys, monkeypatch):
    model = ColourModel()
    model.calibration = Calibration((20.0, 0.0, 0.0), -10.0).to_dict()
    monkeypatch.setattr(pairlight, "load", lambda name: model)
    assert run(APP, ["search", "a unicorn", "--store", "a.db"]) == 0
    assert "nothing matches (the best has relevance 0%); --all shows" in capsys.readouterr().out
    assert run(APP, ["search", "a unicorn", "--store", "a.db", "--all"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert run(APP, ["search", "red", "--store", "a.db"]) == 0
    said = capsys.readouterr()
    assert "100%" in said.out.splitlines()[0] and said.err == ""
    assert run(APP, ["search", "red", "--store", "a.db", "--path", "no/*"]) == 0
    assert "no photo passes the filters" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["search", "red", "--store", "none.db"], "store not found"),
        (["search", "--store", "a.db"], "nothing to search for"),
        (["search", "--not", "red", "--store", "a.db"], "nothing to search for"),
        (["search", "--image", "none.jpg", "--store", "a.db"], "image not found"),
        (["search", "red", "--store", "a.db", "--after", "soon"], "--after soon: not a date"),
        (["search", "red", "--store", "photos/red.png"], "not a store"),
        (["search", "red", "--store", "a.db", "--gallery", "photos"], "photos"),
    ],
)
def test_mistakes_are_one_line(store, capsys, words, told):
    assert run(APP, words) == 2
    error = capsys.readouterr().err.splitlines()
    assert told in error[-1] and error[-1].startswith("pairlight: ")
    assert len([line for line in error if not line.startswith("note: ")]) == 1


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_table_in_which_names_are_only_names():
    names = ["/p/[red]\x1b[2J\n.png", os.fsdecode(b"/p/\xff.png")]
    hits = [Hit(Stored(n, name, n, 1, 1, 1, "2024-05-31T18:20:00"), 0.5, 0.75)
            for n, name in enumerate(names)]  # fmt: skip
    terminal = Terminal()
    print_result(Result(hits, 2, 2, 0.75, 0.5, ""), terminal)
    shown = terminal.getvalue()
    assert "[red]\\x1b[2J\\n.png" in shown.replace("\n", "") and "\\xff.png" in shown
    assert "\x1b[2J" not in shown and "75%" in shown and "2024-05-31" in shown


def test_the_search_and_its_command_need_no_torch(tmp_path):
    import subprocess

    code = (
        "import sys\n"
        "for name in ('torch', 'timm', 'transformers', 'matplotlib', 'sklearn', 'safetensors'):\n"
        "    sys.modules[name] = None\n"
        "import pkgutil, pairlight.search, pairlight.cli.index, pairlight.cli.search\n"
        "for each in pkgutil.iter_modules(pairlight.search.__path__):\n"
        "    __import__('pairlight.search.' + each.name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
