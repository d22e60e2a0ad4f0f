"""Tests the training curves."""

import math

import pytest
from PIL import Image

from pairlight.errors import DataError
from pairlight.plots.canvas import BLUE, ORANGE
from pairlight.plots.curves import plot_curves, temperature_limits


def epoch(number, stage="heads", val=True, **changes):
    recalls = {"R@1": 2.0 * number, "R@5": 5.0 * number, "R@10": 7.0 * number}
    tuned = stage == "finetune"
    record = {
        "epoch": number,
        "stage": stage,
        "loss": 4 / number,
        "val": {"i2t": recalls, "t2i": recalls, "rsum": 28.0 * number, "loss": 5 / number},
        "lr": {"heads": 1e-3, "image": 3e-4 * tuned, "text": 1e-4 * tuned},
        "logit_scale": 14.0 + number,
        "seconds": 1.0,
        "images_per_second": 30.0,
    }
    return {**record, **({} if val else {"val": None}), **changes}


def test_curves_of_two_stages(tmp_path, drawn, has_color):
    history = [epoch(1), epoch(2), epoch(3, "finetune"), epoch(4, "finetune")]
    assert plot_curves(history, tmp_path / "new" / "curves.png") == []
    two = drawn(tmp_path / "new" / "curves.png")
    plot_curves(history[:2], tmp_path / "heads.png")
    # The image encoder's rate, and the R@5 lines, are orange; only the second stage has that rate.
    height = two.shape[0] // 2
    assert has_color(two[height:], ORANGE) > 100
    assert has_color(drawn(tmp_path / "heads.png")[height:], ORANGE) == 0
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["curves.png"]


@pytest.mark.parametrize("val", [True, False])
def test_one_epoch_shows_as_points(tmp_path, drawn, has_color, val):
    plot_curves([epoch(1, val=val)], tmp_path / "curves.png")
    pixels = drawn(tmp_path / "curves.png")
    right = pixels[: pixels.shape[0] // 2, pixels.shape[1] // 2 :]
    assert (has_color(right, ORANGE) > 20) == val


def test_a_loss_that_is_not_finite_leaves_a_gap_and_is_said(tmp_path, drawn):
    history = [epoch(1), epoch(2, loss=math.nan), epoch(3, loss=math.inf)]
    assert plot_curves(history, tmp_path / "curves.png") == [
        "the training loss is not finite in epoch 2, 3"
    ]
    drawn(tmp_path / "curves.png")


def test_no_epoch_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no epoch"):
        plot_curves([], tmp_path / "curves.png")


def test_a_picture_replaces_the_old_one(tmp_path, drawn):
    path = tmp_path / "curves.png"
    path.write_bytes(b"old")
    plot_curves([epoch(1)], path)
    drawn(path)
    assert Image.open(path).size == (1440, 936)


def test_a_small_drift_of_the_temperature_does_not_loom():
    low, high = temperature_limits(0.0645, 0.0655)
    assert (0.0655 - 0.0645) / (high - low) < 0.05
    assert low < 0.0645 and high > 0.0655
    low, high = temperature_limits(0.01, 0.07)  # a real fall fills the axis
    assert (0.07 - 0.01) / (high - low) > 0.8
    low, high = temperature_limits(0.05, 0.05)
    assert low < 0.05 < high


def test_a_rate_that_two_groups_share_shows_twice(tmp_path, drawn, has_color):
    same = {"heads": 1e-3, "image": 1e-3, "text": 1e-4}
    plot_curves([epoch(n, lr=same) for n in (1, 2, 3)], tmp_path / "curves.png")
    pixels = drawn(tmp_path / "curves.png")
    rates = pixels[pixels.shape[0] // 2 + 60 :, : pixels.shape[1] // 2]  # below the legend
    assert has_color(rates, BLUE) > 200 and has_color(rates, ORANGE) > 200
