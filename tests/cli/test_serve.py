"""pairlight serve: what it prints, that it stops when told, and its one-line errors."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import typer
from test_index import photos  # noqa: F401

import pairlight.serve.run
from pairlight.cli.index import index
from pairlight.cli.main import run
from pairlight.cli.serve import serve

APP = typer.Typer(rich_markup_mode=None)
APP.command("index")(index)
APP.command("serve")(serve)


@pytest.fixture
def store(photos, monkeypatch):  # noqa: F811
    assert run(APP, ["index", "photos", "--store", "a.db", "--quiet"]) == 0
    served = []
    monkeypatch.setattr(
        pairlight.serve.run, "serve", lambda app, settings, listener: served.append(settings)
    )
    return served


def test_only_this_machine_and_no_token(store, capsys):
    assert run(APP, ["serve", "--store", "a.db", "--port", "0", "--queue", "3"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("3 photos of a.db at http://127.0.0.1:") and "token" not in said
    assert store[0].loopback and store[0].queue == 3


def test_another_host_gets_a_token(store, capsys):
    words = ["serve", "--store", "a.db", "--host", "0.0.0.0", "--port", "0"]
    assert run(APP, [*words, "--json", "a.json"]) == 0
    told = json.loads(Path("a.json").read_text(encoding="utf-8"))
    assert told["token"] == store[0].token and len(told["token"]) >= 32
    assert told["url"].endswith(f"/?token={told['token']}") and told["photos"] == 3
    assert told["url"] in capsys.readouterr().out
    assert run(APP, [*words, "--token", "one-that-I-know-well"]) == 0
    assert store[1].token == "one-that-I-know-well"
    assert "?token=one-that-I-know-well" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--store", "none.db"], "store not found"),
        (["--store", "a.db", "--token", "short"], "too short"),
        (["--store", "a.db", "--port", "99999"], "not a port"),
        (["--store", "a.db", "--host", "0.0.0.0", "--quiet"], "--quiet would hide the token"),
        (["--store", "a.db", "--timeout", "0"], "over zero"),
        ([], "--store"),
    ],
)
def test_mistakes_are_one_line(store, capsys, words, told):
    assert run(APP, ["serve", *words]) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1 and told in error[0] and error[0].startswith("pairlight: ")


def test_a_port_that_is_taken(store, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert run(APP, ["serve", "--store", "a.db", "--port", port]) == 2
    assert "choose another --port" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize(("told", "codes"), [("SIGINT", (0, 130)), ("SIGTERM", (143,))])
def test_it_serves_until_it_is_told_to_stop(store, tmp_path, told, codes):
    code = (
        "import sys, typer, pairlight\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[1] / 'search')!r})\n"
        "from colours import ColourModel\n"
        "from pairlight.cli.main import run\n"
        "from pairlight.cli.serve import serve\n"
        "pairlight.load = lambda name: ColourModel()\n"
        "app = typer.Typer(rich_markup_mode=None)\n"
        "app.command('serve')(serve)\n"
        "app.callback()(lambda: None)\n"
        "sys.exit(run(app, ['serve', '--store', 'a.db', '--port', '0', '--json', '-']))\n"
    )
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment,
                          stderr=subprocess.PIPE, text=True, cwd=tmp_path) as server:  # fmt: skip
        assert server.stdout and server.stderr
        lines = [server.stdout.readline()]
        while lines[-1].strip() not in ("}", ""):
            lines.append(server.stdout.readline())
        url = json.loads("".join(lines))["url"]
        with urllib.request.urlopen(url + "api/v1/search?text=red&k=1") as answer:
            assert json.load(answer)["hits"][0]["name"] == "red.png"
        server.send_signal(getattr(signal, told))
        assert server.wait(60) in codes
        said = server.stderr.read()
    assert "Traceback" not in said and "photos of a.db" in said
    assert not (tmp_path / "a.db-wal").exists()  # the store was closed
