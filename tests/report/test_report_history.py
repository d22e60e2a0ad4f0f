"""Tests that a checkpoint's training history is found, and that a bad one is told."""

import math

import pytest

from pairlight.report.history import read_history

torch = pytest.importorskip("torch")


def epoch(**changes):
    recalls = {"R@1": 1.0, "R@5": 2.0, "R@10": 3.0, "median_rank": 4.0}
    val = {"i2t": recalls, "t2i": recalls, "rsum": 12.0}
    record = {"stage": "heads", "loss": 2.0, "lr": {"heads": 1e-3}, "logit_scale": 14.0, "val": val}
    return {**record, "epoch": 1, "seconds": 1.0, **changes}


def saved(folder, history, name="training_history_256.pth"):
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"history": history, "recipe": {}}, folder / name)


@pytest.mark.parametrize("name", ["best_model_256.pth", "last_256.pth", "best_heads_256.pth"])
@pytest.mark.parametrize("beside", [True, False])
def test_the_history_beside_a_checkpoint(tmp_path, name, beside):
    folder = tmp_path / "run" / "checkpoints"
    saved(folder if beside else folder.parent, [epoch(), epoch(val=None, loss=math.nan)])
    history, words = read_history(str(folder / name))
    assert len(history) == 2 and history[0]["val"]["i2t"] == {"R@1": 1.0, "R@5": 2.0, "R@10": 3.0}
    assert history[1]["val"] is None and history[1]["loss"] is None
    assert words == "From training_history_256.pth, which lies beside the checkpoint."


def test_a_run_of_the_trainer(tiny_checkpoint):
    history, words = read_history(str(tiny_checkpoint))
    assert len(history) == 4 and {each["stage"] for each in history} == {"heads", "finetune"}
    assert words.startswith("From training_history_16.pth")


def test_what_has_none_says_why(tmp_path):
    saved(tmp_path, [epoch()])
    assert read_history("pretrained")[0] == []
    assert "exported" in read_history(str(tmp_path))[1]
    assert read_history(str(tmp_path / "soup_256.pth"))[0] == []  # the history is another model's
    assert "no training_history_512.pth" in read_history(str(tmp_path / "last_512.pth"))[1]


@pytest.mark.parametrize("content", [
    b"", b"no checkpoint", [], {"history": []}, {"history": [{"loss": 1}]},
    {"history": [epoch(loss="<script>")]}, {"history": 3},
])  # fmt: skip
def test_a_damaged_history_is_told(tmp_path, content):
    path = tmp_path / "training_history_256.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    history, words = read_history(str(tmp_path / "best_model_256.pth"))
    assert history == [] and "damaged" in words


class Harm:
    def __reduce__(self):
        return exec, ("raise SystemExit('ran')",)


def test_code_in_a_history_does_not_run(tmp_path):
    torch.save({"history": [Harm()]}, tmp_path / "training_history_256.pth")
    history, words = read_history(str(tmp_path / "last_256.pth"))
    assert history == [] and "damaged" in words
