"""The command line as a whole: exit codes, one-line errors, help, quiet, JSON, root scripts."""

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from pairlight import __version__
from pairlight.cli.main import app, run
from pairlight.errors import DataError

ROOT = Path(__file__).parents[2]
COMMANDS = [command.name for command in app.registered_commands]


def test_version_and_help(capsys):
    assert run(app, ["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"pairlight {__version__}"
    assert run(app, ["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples(name, capsys):
    assert run(app, [name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Examples:" in shown and f"pairlight {name}" in shown
    assert "--quiet" in shown and "--json" in shown
    # Examples keep their lines.
    assert re.search(rf"^\s*pairlight {name}", shown, re.MULTILINE)


def boom(error):
    application = typer.Typer(pretty_exceptions_enable=False)

    @application.command()
    def command():
        raise error

    return application


def test_the_users_mistake_is_two_and_one_line(capsys):
    assert run(boom(DataError("a.txt:3: empty caption")), []) == 2
    assert capsys.readouterr().err == "pairlight: a.txt:3: empty caption\n"


def test_our_mistake_is_one_and_says_how_to_see_more(capsys, monkeypatch):
    monkeypatch.delenv("PAIRLIGHT_DEBUG", raising=False)
    assert run(boom(ZeroDivisionError("oh")), []) == 1
    assert "internal error: ZeroDivisionError: oh (set PAIRLIGHT_DEBUG=1" in capsys.readouterr().err
    monkeypatch.setenv("PAIRLIGHT_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        run(boom(ZeroDivisionError("oh")), [])


def test_a_full_disk_is_the_users_to_mend(capsys):
    assert run(boom(OSError(errno.ENOSPC, "No space left on device")), []) == 2
    assert capsys.readouterr().err == "pairlight: output: No space left on device\n"


def test_an_interrupt_is_said(capsys):
    assert run(boom(KeyboardInterrupt()), []) == 130
    assert capsys.readouterr().err == "pairlight: stopped\n"


def test_an_interrupt_that_a_library_made_an_error_of_is_said(capsys):
    failed = ImportError("initialization failed")
    failed.__cause__ = KeyboardInterrupt()
    assert run(boom(failed), []) == 130
    assert capsys.readouterr().err == "pairlight: stopped\n"


@pytest.mark.parametrize("where", ["folder", "below_a_file"])
def test_json_that_cannot_be_written_is_told_before_the_work(capsys, tmp_path, where):
    (tmp_path / "file").touch()
    target = {"folder": tmp_path, "below_a_file": tmp_path / "file" / "r.json"}[where]
    assert run(app, ["train", "--show-recipe", "--json", str(target)]) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1


def test_names_too_long_for_the_file_system(capsys, tmp_path):
    for argv in (["train", "--recipe", "x" * 300], ["train", "--manifest", "y" * 300]):
        assert run(app, argv) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_what_the_terminal_cannot_spell_is_escaped():
    code = "from pairlight.cli.main import *; run(typer.Typer(), []); print('一只狗')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert r"\u4e00" in done.stdout


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_json_on_stdout_is_json_in_every_encoding(encoding):
    code = "from pairlight.output import Output; Output(json_to='-').json({'path': 'dög 狗 😀'})"
    environment = os.environ | {"PYTHONIOENCODING": f"{encoding}:backslashreplace"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment)
    assert json.loads(done.stdout.decode(encoding)) == {"path": "dög 狗 😀"}


def test_json_goes_into_a_device_as_it_is(tmp_path):
    if not Path("/dev/stdout").exists():
        pytest.skip("this system has no /dev/stdout")
    code = "from pairlight.output import Output; Output(json_to='/dev/stdout').json([1])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert json.loads(done.stdout) == [1] and Path("/dev/stdout").is_symlink()


def test_unknown_commands_and_options_are_the_users(capsys):
    assert run(app, ["trian"]) == 2
    assert run(app, ["train", "--nope"]) == 2


def test_train_says_what_is_missing(capsys, tmp_path):
    assert run(app, ["train"]) == 2
    assert "--manifest is missing" in capsys.readouterr().err
    assert run(app, ["train", "--manifest", str(tmp_path / "none.jsonl")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_show_recipe(capsys):
    assert run(app, ["train", "--recipe", "small", "--show-recipe"]) == 0
    assert "model.image_encoder = efficientnet_lite2" in capsys.readouterr().out


def write_yaml(recipe, path):
    import dataclasses

    import yaml

    path.write_text(yaml.safe_dump(dataclasses.asdict(recipe)))
    return str(path)


def test_train_quietly_with_json(capsys, tmp_path, tiny_recipe, sample_manifest):
    recipe = write_yaml(tiny_recipe, tmp_path / "tiny.yaml")
    argv = ["train", "--manifest", str(sample_manifest), "--recipe", recipe, "--embed-dim", "24"]
    argv += ["--out", str(tmp_path / "run"), "--set", "stages.1.epochs=1", "--device", "cpu"]
    assert run(app, [*argv, "--quiet", "--json", str(tmp_path / "r.json")]) == 0
    assert capsys.readouterr().out == ""
    result = json.loads((tmp_path / "r.json").read_text())
    assert Path(result["best"]).name == "best_model_24.pth" and Path(result["best"]).is_file()
    assert len(result["history"]) == 3
    assert (tmp_path / "run" / "curves.png").stat().st_size > 1000
    assert run(app, argv) == 2
    assert "--resume continues it" in capsys.readouterr().err
    assert run(app, [*argv, "--resume"]) == 0
    assert "best: epoch" in capsys.readouterr().out


def test_the_quick_start_documents_scripts_that_exist():
    for name in ("prepare_data", "split_dataset", "train", "evaluate", "alignment_visualization"):
        assert (ROOT / f"{name}.py").is_file()
        for readme in ("README.md", "README.zh-CN.md"):
            assert f"python {name}.py" in (ROOT / readme).read_text(encoding="utf-8")


def script(name, folder, *argv):
    done = subprocess.run(
        [sys.executable, str(ROOT / name), *argv],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.flickr8k
@pytest.mark.slow
def test_the_five_scripts_on_real_photos(flickr8k, tmp_path):
    """A sixtieth of Flickr8k where the quick start looks for it; no argument but fewer epochs."""
    data = tmp_path / "data" / "flickr8k"
    (data / "images").mkdir(parents=True)
    kept = []
    for name, count in (("train", 100), ("dev", 20)):
        listed = f"Flickr_8k.{name}Images.txt"
        names = (flickr8k / listed).read_text().split()[:count]
        (data / listed).write_text("\n".join(names) + "\n")
        kept += names
    for name in kept:
        (data / "images" / name).symlink_to(flickr8k / "images" / name)
    lines = (flickr8k / "Flickr8k.token.txt").read_text().splitlines(keepends=True)
    # Captions of photos that are absent stay in, as in the real file; and its odd key.
    (data / "Flickr8k.token.txt").write_text("".join(lines) + "odd_key.jpg.1#0\tA dog .\n")
    assert "120 used" in script("prepare_data.py", tmp_path)
    assert "100 images" in script("split_dataset.py", tmp_path)
    shorter = ("--set", "stages.0.epochs=2", "--set", "stages.1.epochs=1")
    said = script("train.py", tmp_path, *shorter, "--set", "stages.1.batch_size=32")
    assert "best: epoch" in said
    assert "R@1" in script("evaluate.py", tmp_path)
    script("alignment_visualization.py", tmp_path)
    result = json.loads((tmp_path / "evaluation_results.json").read_text())
    assert result["protocol"]["split"] == "val"
    assert (result["protocol"]["images"], result["protocol"]["captions"]) == (20, 100)
    # Pretrained features beat guessing (1 in 20) by far after a moment's training.
    assert result["t2i"]["R@1"] > 15
    for name in ("best_model_256.pth", "last_256.pth", "best_heads_256.pth"):
        assert (tmp_path / "checkpoints" / name).is_file()
    for name in ("tsne.png", "similarity_matrix.png"):
        assert (tmp_path / "visualization" / name).is_file()


def test_an_option_without_its_value_names_the_command(capsys):
    assert run(app, ["search", "dog", "--json"]) == 2
    assert capsys.readouterr().err.strip().endswith("see pairlight search --help")


def test_missing_options_and_unknown_commands_are_one_line(capsys):
    for argv in (["evaluate"], ["prepare", "--images", "x"], ["trian"], ["train", "--nope"]):
        assert run(app, argv) == 2
        told = capsys.readouterr().err
        assert told.startswith("pairlight: ") and told.count("\n") == 1 and "--help" in told


def test_resuming_nothing_is_said(capsys, tmp_path, tiny_recipe, sample_manifest):
    recipe = write_yaml(tiny_recipe, tmp_path / "tiny.yaml")
    argv = ["train", "--manifest", str(sample_manifest), "--recipe", recipe, "--resume"]
    argv += ["--out", str(tmp_path / "run"), "--set", "stages.1.epochs=1", "--device", "cpu"]
    assert run(app, argv) == 0
    assert f"nothing to resume in {tmp_path / 'run'}" in capsys.readouterr().out


def test_without_torch_training_says_what_to_install(command_without, tmp_path):
    done = command_without(["torch"], "train", "--manifest", tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "torch is not installed; training needs: pip install 'pairlight[train]'" in done.stderr
