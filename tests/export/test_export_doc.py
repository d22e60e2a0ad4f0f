"""The example of docs/export.md runs as it stands, without pairlight and torch."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import pairlight
from pairlight.sample import sample_dir

DOC = Path(__file__).parents[2] / "docs" / "export.md"


def test_the_example_gives_our_scores(exported, tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 25
    script = tmp_path / "example.py"
    blocked = "import sys\nfor name in ('pairlight', 'torch'):\n    sys.modules[name] = None\n"
    script.write_text(blocked + code, encoding="utf-8")
    photo = sorted((sample_dir() / "images").glob("*.jpg"))[0]
    queries = ["a dog", "an airport with a woman and her bags", "一只狗"]
    words = [sys.executable, str(script), str(photo), *queries]
    done = subprocess.run(words, cwd=exported, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [line.split(" ", 1) for line in done.stdout.splitlines()]
    assert [query for _, query in lines] == queries
    model = pairlight.load(str(exported))
    scores = model.encode_texts(queries) @ model.encode_images([photo])[0]
    assert [float(score) for score, _ in lines] == pytest.approx(scores.tolist(), abs=0.01)
