"""`pairlight evaluate` of real models: the released one, a checkpoint, none without torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pairlight.cli.main import app, run


def test_without_torch_the_user_learns_what_to_install(command_without, sample_manifest, tmp_path):
    model = tmp_path / "m.pth"
    model.touch()
    argv = ("evaluate", "--model", model, "--manifest", sample_manifest)
    done = command_without(["torch"], *argv)
    assert done.returncode == 2, done.stderr
    assert "pip install 'pairlight[train]'" in done.stderr and done.stderr.count("\n") == 1


def test_the_released_model_finds_what_the_sample_shows(sample_manifest, tmp_path):
    """It was not trained on any of these photos."""
    out = tmp_path / "out.json"
    argv = ["evaluate", "--model", "pretrained", "--manifest", str(sample_manifest)]
    argv += ["--split", "all"]
    assert run(app, [*argv, "--json", str(out)]) == 0
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["protocol"]["images"] == 35
    # Of 35 photos a guess is right for 3 in 100.
    assert found["t2i"]["R@1"] > 40 and found["i2t"]["R@1"] > 40


def test_help_shows_examples(capsys):
    assert run(app, ["evaluate", "--help"]) == 0
    text = capsys.readouterr().out
    assert "Examples:" in text and "--captions captions.csv --json -" in text


def test_quick_start_script_looks_where_training_leaves_its_model(tmp_path):
    pytest.importorskip("torch")
    script = Path(__file__).parents[2] / "evaluate.py"
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("pairlight: checkpoints/best_model_256.pth: model not found")


def test_real_checkpoint(tiny_checkpoint, sample_manifest, tmp_path, capsys):
    words = ["--model", tiny_checkpoint, "--manifest", sample_manifest, "--json"]
    results = []
    for file in (tmp_path / "first.json", tmp_path / "second.json"):
        assert run(app, ["evaluate", *map(str, words), str(file)]) == 0
        results.append(json.loads(file.read_text()))
        assert min(results[-1].pop("seconds").values()) > 0
    assert results[0] == results[1]
    assert results[0]["protocol"]["split"] == "test"
    assert len(results[0]["model"]["sha256"]) == 64 and results[0]["model"]["parameters"] > 0
    assert "text to image" in capsys.readouterr().out
