"""pairlight search: lines, table, JSON, gallery, notes and one-line errors."""

import io
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from test_index import APP, photos  # noqa: F401

import pairlight
from pairlight.cli.main import run
from pairlight.search.calibration import Calibration
from pairlight.search.records import Filters, Hit, Stored
from pairlight.search.searcher import Result
from pairlight.search.show import print_result
from pairlight.search.vocabulary import Vocabulary

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


def test_unquoted_words_are_one_text(store, capsys):
    words = ["search", "red", "and", "blue", "--store", "a.db", "-k", "1", "things", "--json", "-"]
    assert run(APP, words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["query"]["text"] == "red and blue things"
    assert Path(told["hits"][0]["path"]).name == "both.png"


def test_files_and_distinct_photos_are_counted_alike_by_both_commands(store, capsys):
    shutil.copy(store / "red.png", store / "copy.png")
    assert run(APP, ["index", "--store", "a.db"]) == 0
    assert "5 photos in the store, 4 of them distinct: 1 added" in capsys.readouterr().out
    told = []
    for words in (["index"], ["search", "red"]):
        assert run(APP, [*words, "--store", "a.db", "--json", "-"]) == 0
        told.append(json.loads(capsys.readouterr().out))
    assert [(each["files"], each["distinct"]) for each in told] == [(5, 4), (5, 4)]
    assert [each["photos"] for each in told] == [5, 4]  # as it always was


def test_search_by_example_and_gallery(store, capsys):
    words = ["search", "--image", "photos/blue.png", "--store", "a.db", "--gallery", "out.html"]
    assert run(APP, words) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0].endswith("blue.png") and "wrote out.html" in said
    assert Path("out.html").read_text(encoding="utf-8").count("<img") == 4


def test_where_filters_leave_nothing_dates_are_explained(store, capsys):
    for options, more in ((["--min-width", "9999"], ""), (["--after", "2020"], "; those without")):
        assert run(APP, ["search", "red", "--store", "a.db", *options]) == 0
        said = capsys.readouterr().out
        assert said.startswith("no photo passes the filters" + more) and said.count("\n") == 1
        assert ("without a date" in said) == bool(more)


def test_nothing_matches(store, capsys, monkeypatch):
    model = ColourModel()
    known = Vocabulary.of(["red"] * 30)
    model.calibration = Calibration((20.0, 0.0, 0.0, 0.0, 0.0, 0.0), -10.0, 0.7, known).to_dict()
    monkeypatch.setattr(pairlight, "load", lambda name: model)
    assert run(APP, ["search", "a unicorn", "--store", "a.db"]) == 0
    said = capsys.readouterr()
    assert said.err == "note: the model has hardly met in training: unicorn\n"
    first, *rest = said.out.splitlines()
    assert first == "nothing matches well (the best has relevance 0%); the nearest:"
    assert len(rest) == 3 and all(line.split("\t")[0] == "nearest" for line in rest)
    words = ["search", "a unicorn", "--store", "a.db", "--json", "-", "--gallery", "none.html"]
    assert run(APP, words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["hits"] == [] and len(told["nearest"]) == 3 and told["unknown"] == ["unicorn"]
    page = Path("none.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == 3 and "nothing matches well" in page
    assert run(APP, ["search", "a unicorn", "--store", "a.db", "--all"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert run(APP, ["search", "red", "--store", "a.db"]) == 0
    said = capsys.readouterr()
    assert "100%" in said.out.splitlines()[0] and said.out.count("\n") == 2
    assert said.err == (
        "note: 2 of the first 4 are left out, with a relevance below 70%; --all shows them\n"
    )
    words = ["search", "red", "--store", "a.db", "--json", "-", "--gallery", "some.html"]
    assert run(APP, words) == 0
    assert json.loads(capsys.readouterr().out)["left_out"] == 2
    page = Path("some.html").read_text(encoding="utf-8")
    assert "<p>2 of the first 4 are left out" in page and page.count("<figure>") == 2
    assert run(APP, ["search", "red", "--store", "a.db", "--all"]) == 0
    assert "left out" not in capsys.readouterr().err
    assert run(APP, ["search", "red", "--store", "a.db", "-k", "1"]) == 0
    said = capsys.readouterr().err
    assert said == "note: at least 2 photos fit; a larger -k shows more of them\n"
    # Those that pass a filter are not counted, and whether there is a third is not known.
    for more in (["-k", "1", "--path", "photos/*"], ["-k", "2"]):
        assert run(APP, ["search", "red", "--store", "a.db", *more]) == 0
        assert capsys.readouterr().err == "note: more may fit; a larger -k shows them\n"
    assert run(APP, ["search", "red", "--store", "a.db", "-k", "1", "--path", "*red.png"]) == 0
    assert capsys.readouterr().err == ""  # no other passes
    assert run(APP, ["search", "red", "--store", "a.db", "-k", "2", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["fitting"] == 2
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
        (["search", "red " * 251, "--store", "a.db"], "1004 characters; 1000 are the most"),
        (["search", "red", "--not", "x" * 1001, "--store", "a.db"], "1001 characters"),
        (["search", "red", "--store", "a.db", "--gallery", "photos"], "a web page"),
        (["search", "red", "--store", "a.db", "--gallery", "x.png"], "ends in .html"),
        (["search", "red", "--store", "a.db", "--gallery", ""], "name a file that ends in .html"),
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
    print_result(Result(hits, 2, 2, 0.75, 0.5, ""), terminal, Filters())
    shown = terminal.getvalue()
    assert len(shown.splitlines()) == 3
    assert "[red]\\x1b[2J\\n.png" in shown.replace("\n", "") and "\\xff.png" in shown
    assert "\x1b[2J" not in shown and "75%" in shown and "2024-05-31" in shown


def test_a_path_is_whole_in_a_table_however_long_it_is():
    path = "/home/somebody/Pictures" + "/a folder with a long name" * 8 + "/photo.jpg"
    terminal = Terminal()
    hit = Hit(Stored(1, path, 1, 1, 1, 1, None), 0.5, 0.75)
    print_result(Result([hit], 1, 1, 0.75, 0.5, ""), terminal, Filters())
    assert terminal.getvalue().splitlines()[1].endswith("  " + path)
    terminal = Terminal()
    print_result(Result([], 1, 1, 0.1, 0.5, "", [hit]), terminal, Filters())
    said = terminal.getvalue().splitlines()
    assert said[0].startswith("nothing matches well") and said[2].endswith(path)


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
