"""Checks the prepare and split commands and their quick-start scripts, as a user runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]


@pytest.fixture
def flickr(tmp_path):
    """A working folder laid out as the quick start documents, with invented captions."""
    data = tmp_path / "data" / "flickr8k"
    (data / "images").mkdir(parents=True)
    captions = []
    for seed in range(6):
        noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        image = Image.fromarray(noise).resize((64, 48))
        image.save(data / "images" / f"{seed}.jpg")
        captions += [f"{seed}.jpg#{n}\tPicture {seed} told again , {n} .\n" for n in range(2)]
    (data / "Flickr8k.token.txt").write_text("".join(captions))
    return tmp_path


def run(folder, *arguments):
    """Run a command line in `folder`: (exit code, stdout, stderr)."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return done.returncode, done.stdout, done.stderr


def test_quick_start_scripts(flickr):
    data = flickr / "data" / "flickr8k"
    code, out, err = run(flickr, ROOT / "prepare_data.py")
    assert (code, err) == (0, "")
    assert "6 used of 6 found" in out and (data / "manifest.report.json").exists()
    code, out, err = run(flickr, ROOT / "split_dataset.py", "--json", "-")
    assert code == 0
    assert json.loads(out)["mode"] == "ratios" and "train" in err
    for name, numbers in (("train", "0123"), ("dev", "4")):
        text = "".join(f"{number}.jpg\n" for number in numbers)
        (data / f"Flickr_8k.{name}Images.txt").write_text(text)
    code, out, err = run(flickr, ROOT / "split_dataset.py", "--quiet", "--json", "split.json")
    assert (code, out, err) == (0, "", "")
    told = json.loads((flickr / "split.json").read_text())
    assert told["mode"] == "official" and told["splits"]["train"] == {"images": 4, "captions": 8}
    assert told["unassigned"] == {"count": 1, "examples": ["5"]}


def test_prepare_takes_kaggles_name(flickr):
    data = flickr / "data" / "flickr8k"
    (data / "Flickr8k.token.txt").unlink()
    (data / "captions.txt").write_text("image,caption\n0.jpg,A wall , painted , in spots .\n")
    code, out, _ = run(flickr, ROOT / "prepare_data.py")
    assert code == 0 and "read as kaggle" in out
    line = json.loads((data / "manifest.jsonl").read_text())
    assert line["captions"] == ["A wall, painted, in spots."]
    assert line["image"] == "images/0.jpg"


COMMAND = ("-c", "from pairlight.cli.main import main; main()")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("prepare --images no --captions c.txt --out m.jsonl", "images folder not found"),
        ("prepare --images data --captions no.txt --out m.jsonl", "captions file not found"),
        (
            "prepare --images data --captions data/flickr8k/Flickr8k.token.txt --format xml "
            "--out m.jsonl",
            "choose from auto, coco, csv",
        ),
        (
            "prepare --images data --captions data/Flickr8k.token.txt --out a.jpg",
            "name of an image",
        ),
        ("split --manifest m.jsonl --json ./m.jsonl", "the command names this file already"),
        ("prepare --images a --captions c.txt --json=c.txt --out m", "names this file already"),
        ("split --manifest no.jsonl", "manifest not found"),
        ("split --manifest no.jsonl --ratios 1,2,3", "each must be from 0 to 1"),
    ],
)
def test_mistakes_exit_2_with_one_line(flickr, arguments, words):
    code, out, err = run(flickr, *COMMAND, *arguments.split())
    assert (code, out) == (2, "")
    assert words in err and err.startswith("pairlight: ") and err.count("\n") == 1


def test_captions_where_the_report_would_lie_are_spared(flickr):
    captions = flickr / "photos.report.json"
    captions.write_text('[{"image": "a.jpg", "caption": "a dog"}]')
    before = captions.read_text()
    arguments = f"prepare --images data --captions {captions} --out {flickr / 'photos.jsonl'}"
    code, _, err = run(flickr, *COMMAND, *arguments.split())
    assert code == 2 and "the report of" in err and captions.read_text() == before


def test_ratios_and_official_exclude_each_other(flickr):
    arguments = "split --manifest m.jsonl --ratios 1,0,0 --official data"
    code, _, err = run(flickr, *COMMAND, *arguments.split())
    assert code == 2 and "not both" in err


@pytest.mark.parametrize("command", ["prepare", "split"])
def test_help_has_examples(flickr, command):
    code, out, _ = run(flickr, *COMMAND, command, "--help")
    assert code == 0 and f"  pairlight {command} --" in out
    assert "--quiet" in out and "--json" in out


def test_data_needs_no_torch(flickr):
    code = "import pairlight.data.prepare, pairlight.data.split, pairlight.cli.prepare, sys; "
    code += "assert not {'torch', 'matplotlib', 'sklearn'} & set(sys.modules)"
    assert run(flickr, "-c", code)[0] == 0
