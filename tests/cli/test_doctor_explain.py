"""pairlight doctor and pairlight explain as commands: words, JSON, exit codes, one-line errors."""

import json
import shutil
import subprocess
import sys

import pytest

from pairlight.cli.main import app, run
from pairlight.sample import sample_dir

PHOTO = str(sample_dir() / "images" / "000000377575.jpg")


@pytest.fixture
def leaking(tmp_path, sample_manifest):
    """The sample with its first photo once more, in another split; and one file vanished."""
    lines = [json.loads(line) for line in sample_manifest.read_text().splitlines()]
    for line in lines:
        line["image"] = str((sample_manifest.parent / line["image"]).resolve())
    shutil.copy(lines[0]["image"], tmp_path / "again.jpg")
    other = "val" if lines[0]["split"] == "train" else "train"
    twin = {**lines[0], "image_id": "again", "image": "again.jpg", "split": other, "mine": 1}
    lines[1]["image"] = str(tmp_path / "gone.jpg")
    path = tmp_path / "photos.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in [*lines, twin]))
    return path


def test_doctor_reports_and_succeeds(leaking, tmp_path, capsys):
    argv = ["doctor", "--manifest", str(leaking), "--model", "none", "--out", str(tmp_path / "d")]
    argv += ["--json", str(tmp_path / "r.json"), "--fix", str(tmp_path / "mended.jsonl")]
    assert run(app, argv) == 0
    said = capsys.readouterr().out
    assert "36 photos" in said and "1  leak" in said and "1  vanished" in said
    assert said.index("leak:") < said.index("vanished:")
    told = json.loads((tmp_path / "r.json").read_text())
    assert told["findings"]["leak"]["items"][0]["image_ids"][1] == "again"
    assert told["model"] is None and told["ranking"] == []
    assert (tmp_path / "d" / "contact_sheet.png").stat().st_size > 10_000
    mended = [json.loads(line) for line in (tmp_path / "mended.jsonl").read_text().splitlines()]
    assert len(mended) == 35 and mended[-1]["mine"] == 1 and mended[-1]["split"] == "train"


def test_doctor_fails_on_what_was_asked(leaking, tmp_path, capsys):
    argv = ["doctor", "--manifest", str(leaking), "--model", "none", "--out", str(tmp_path / "d")]
    assert run(app, [*argv, "--quiet", "--fail-on", "unreadable"]) == 0
    assert run(app, [*argv, "--fail-on", "leak, vanished", "--json", str(tmp_path / "r.json")]) == 2
    told = capsys.readouterr()
    assert told.err.count("\n") == 1 and "1 leak, 1 vanished" in told.err
    assert "leak" in told.out and (tmp_path / "r.json").is_file()
    for wrong in ("leaks", "", "leak,"):  # an unset variable must not open the gate
        assert run(app, [*argv, "--fail-on", wrong]) == 2
        assert "choose from" in capsys.readouterr().err


def test_explain_writes_png_alone(tmp_path, capsys):
    assert run(app, ["explain", PHOTO, "a dog", "--out", str(tmp_path / "why.jpg")]) == 2
    assert "name a file that ends in .png" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_copy_of_a_sample_photo_is_no_rival_of_itself(tmp_path):
    copy = shutil.copy(PHOTO, tmp_path / "mine.jpg")
    told = []
    for image in (PHOTO, str(copy)):
        out = tmp_path / "r.json"
        assert run(app, ["explain", image, "a dog", "--grid", "7", "-q", "--json", str(out)]) == 0
        told.append(json.loads(out.read_text())["standing"])
    assert told[0] == told[1] and told[0]["photos"] == 34


def test_doctor_finds_exchanged_photos_first(sample_manifest, tmp_path):
    lines = [json.loads(line) for line in sample_manifest.read_text().splitlines()]
    for line in lines:
        line["image"] = str((sample_manifest.parent / line["image"]).resolve())
    named = {line["image_id"]: line for line in lines}
    one = named["000000020247"]  # two bears
    tennis = next(line for line in lines if "tennis" in " ".join(line["captions"]))
    one["captions"], tennis["captions"] = tennis["captions"], one["captions"]
    path = tmp_path / "photos.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    argv = ["doctor", "--manifest", str(path), "--out", str(tmp_path), "--quiet"]
    assert run(app, [*argv, "--json", str(tmp_path / "r.json")]) == 0
    ranked = json.loads((tmp_path / "r.json").read_text())["photo_ranking"]
    first = [item["image_id"] for item in ranked[:4]]
    assert {one["image_id"], tennis["image_id"]} <= set(first)


def test_doctor_with_the_released_model(sample_manifest, tmp_path, capsys):
    argv = ["doctor", "--manifest", str(sample_manifest), "--out", str(tmp_path), "--quiet"]
    assert run(app, [*argv, "--json", str(tmp_path / "r.json"), "--top", "30"]) == 0
    assert capsys.readouterr().out == ""
    told = json.loads((tmp_path / "r.json").read_text())
    assert told["model"] == "pretrained" and len(told["ranking"]) == 30
    doubts = [item["doubt"] for item in told["ranking"]]
    assert doubts == sorted(doubts, reverse=True)
    assert len(list((tmp_path / "cache").glob("*.npz"))) == 2
    assert run(app, [*argv, "--json", str(tmp_path / "again.json"), "--top", "30"]) == 0
    again = json.loads((tmp_path / "again.json").read_text())
    assert again["ranking"] == told["ranking"]


def test_doctor_of_few_photos_says_so(sample_manifest, tmp_path, capsys):
    lines = [json.loads(line) for line in sample_manifest.read_text().splitlines()[:5]]
    for line in lines:
        line["image"] = str((sample_manifest.parent / line["image"]).resolve())
    few = tmp_path / "few.jsonl"
    few.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert run(app, ["doctor", "--manifest", str(few), "--out", str(tmp_path)]) == 0
    assert "too few to tell" in capsys.readouterr().out


def test_doctor_needs_a_manifest_and_a_model(tmp_path, sample_manifest, capsys):
    for argv in (
        ["doctor", "--manifest", str(tmp_path / "none.jsonl")],
        ["doctor", "--manifest", str(sample_manifest), "--model", str(tmp_path / "none")],
        ["doctor", "--manifest", str(sample_manifest), "--model", str(tmp_path)],
    ):
        assert run(app, [*argv, "--out", str(tmp_path / "d")]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "d").exists()


def test_doctor_without_the_train_install(leaking, tmp_path):
    code = (
        "import sys\n"
        "for name in ('torch', 'timm', 'transformers', 'matplotlib', 'sklearn', 'safetensors'):\n"
        "    sys.modules[name] = None\n"
        "from pairlight.cli.main import app, run\n"
        f"argv = ['doctor', '--manifest', {str(leaking)!r}, '--out', {str(tmp_path / 'd')!r}]\n"
        "assert run(app, [*argv, '--quiet', '--model', 'none']) == 0\n"
        f"asked = ['explain', {PHOTO!r}, 'a dog', '--json', '-', '--no-reference', '-q']\n"
        "assert run(app, asked) == 0\n"
        f"assert run(app, ['explain', {PHOTO!r}, 'a dog']) == 2\n"
        "sys.exit(run(app, [*argv, '--model', 'frozen']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    first, second = done.stderr.splitlines()
    assert "drawing needs matplotlib" in first and "--model frozen needs" in second


def test_explain_draws_and_tells(tmp_path, capsys):
    out = tmp_path / "why.png"
    words = ["a dog by", "a", "hydrant"]  # with or without quotation marks
    argv = ["explain", PHOTO, *words, "--grid", "7", "--out", str(out)]
    assert run(app, [*argv, "--json", str(tmp_path / "r.json")]) == 0
    said = capsys.readouterr().out
    assert "score 0." in said and "relevance" in said and f"wrote {out}" in said
    assert out.stat().st_size > 20_000
    told = json.loads((tmp_path / "r.json").read_text())
    assert [each["word"] for each in told["words"]] == ["a", "dog", "by", "a", "hydrant"]
    assert told["picture"] == str(out) and told["regions"]["grid"] == 7
    assert told["standing"]["photos"] == 34 and 0 <= told["standing"]["relevance"] <= 1
    # What makes the score is the dog, not the article.
    drops = [each["contribution"] for each in told["words"]]
    assert drops[1] > 3 * sorted(drops)[-2]
    assert drops[1] > told["score"] / 3


def test_explain_with_a_checkpoint(tiny_checkpoint, tmp_path):
    argv = ["explain", PHOTO, "a dog", "--model", str(tiny_checkpoint), "--grid", "7", "--quiet"]
    assert run(app, [*argv, "--json", str(tmp_path / "r.json")]) == 0
    told = json.loads((tmp_path / "r.json").read_text())
    assert told["picture"] is None and told["standing"]["relevance"] is None
    assert len(told["words"]) == 2


def test_explain_tells_mistakes_in_a_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "no.jpg").write_bytes(b"nothing")
    for argv in (
        [PHOTO, ""],
        [PHOTO, "..."],
        ["none.jpg", "a dog"],
        ["no.jpg", "a dog"],
        [PHOTO, "a dog", "--model", "none"],
        [PHOTO, "a dog", "--model", str(tmp_path)],
        [PHOTO, "a dog", "--fill", "noise"],
        [PHOTO, "a dog", "--grid", "3"],
        [PHOTO, "a dog", "--out", str(tmp_path)],
    ):
        assert run(app, ["explain", *argv]) == 2, argv
        assert capsys.readouterr().err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["no.jpg"]
