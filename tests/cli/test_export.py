"""Runs `pairlight export` and the commands that take what it wrote."""

import json
from pathlib import Path

import pytest
from exported import export_once

from pairlight.cli.main import app, run


@pytest.fixture(scope="module")
def exported(tiny_checkpoint) -> Path:
    return export_once(tiny_checkpoint, tiny_checkpoint.parent, False)


def export(*words):
    return run(app, ["export", *map(str, words)])


def only_line(capsys):
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("pairlight: ") and err.count("\n") == 1
    return err


def test_export_then_evaluate_and_visualize(tiny_checkpoint, sample_manifest, tmp_path, capsys):
    """The exported model's numbers are the checkpoint's, and every command takes its folder."""
    pytest.importorskip("matplotlib")
    out, told = tmp_path / "model", tmp_path / "export.json"
    words = ("--model", tiny_checkpoint, "--out", out, "--manifest", sample_manifest)
    assert export(*words, "--split", "val", "--no-int8", "--json", told) == 0
    text = capsys.readouterr().out
    assert "image: fp32, cosine to the checkpoint mean 1.0000" in text and f"wrote {out}" in text
    description = json.loads(told.read_text(encoding="utf-8"))
    assert description == json.loads((out / "model.json").read_text(encoding="utf-8"))
    assert description["parity"]["probes"]["source"] == "sample.jsonl, split val"
    results = []
    for model in (tiny_checkpoint, out):
        file = tmp_path / "r.json"
        words = ["evaluate", "--model", model, "--manifest", sample_manifest, "--json", file]
        assert run(app, [*map(str, words), "--quiet"]) == 0
        results.append(json.loads(file.read_text()))
    assert results[0]["i2t"] == results[1]["i2t"] and results[0]["t2i"] == results[1]["t2i"]
    assert results[0]["model"]["parameters"] == results[1]["model"]["parameters"]
    words = ["visualize", "--model", out, "--manifest", sample_manifest, "--out", tmp_path / "p"]
    assert run(app, [*map(str, words), "--query", "a dog", "--quiet"]) == 0
    assert (tmp_path / "p" / "results_a_dog.png").is_file()
    assert export("--model", tiny_checkpoint, "--out", out) == 2
    assert "--overwrite replaces it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--model", "absent.pth"], "absent.pth: checkpoint not found"),
        (["--model", "."], "is a folder; export takes a checkpoint file"),
        (["--model", "CHECKPOINT", "--split", "val"], "--split val needs --manifest FILE"),
        (["--model", "CHECKPOINT", "--images", "."], "--captions FILE is missing"),
        (["--model", "CHECKPOINT", "--manifest", "no.jsonl"], "no.jsonl: manifest not found"),
    ],
)
def test_mistakes_get_one_line(tiny_checkpoint, tmp_path, monkeypatch, capsys, words, problem):
    monkeypatch.chdir(tmp_path)
    words = [str(tiny_checkpoint) if word == "CHECKPOINT" else word for word in words]
    assert export(*words, "--out", "model", "--quiet") == 2
    assert problem in only_line(capsys)
    assert list(tmp_path.iterdir()) == []


def test_what_it_is_not_for(exported, tmp_path, capsys):
    assert export("--model", exported, "--out", tmp_path / "x") == 2
    assert "export takes a checkpoint file" in only_line(capsys)
    (tmp_path / "a.txt").touch()
    assert export("--model", exported / "image.onnx", "--out", tmp_path, "--quiet") == 2
    assert "holds something other than an exported model (a.txt)" in only_line(capsys)


def test_without_torch_the_user_learns_what_to_install(command_without, tmp_path):
    argv = ("export", "--model", "m.pth", "--out", "x")
    done = command_without(["torch"], *argv, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "pip install 'pairlight[train]'" in done.stderr and done.stderr.count("\n") == 1


def test_help_shows_examples(capsys):
    assert run(app, ["export", "--help"]) == 0
    text = capsys.readouterr().out
    assert "Examples:" in text and "--no-int8" in text and "--for-size" in text
