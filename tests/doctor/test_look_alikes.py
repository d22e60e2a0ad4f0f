"""Photos that the model can hardly tell apart; encoders that saw no captions."""

import numpy as np
import pytest

from pairlight.doctor.mapping import unit
from pairlight.doctor.twins import Twins, look_alikes


def test_pairs_above_the_threshold_once_and_best_first():
    rng = np.random.default_rng(0)
    images = unit(rng.normal(size=(2500, 64)))  # more than a block
    images[2400] = unit(images[[3]] + 0.01 * rng.normal(size=(1, 64)))[0]
    images[7] = images[5]
    rows = list(range(100, 2600))
    found = look_alikes(images, rows, [])
    assert [(a, b) for a, b, _ in found] == [(105, 107), (103, 2500)]
    assert found[0][2] > found[1][2] >= 0.96
    # What is known to be one picture is not told again.
    assert [pair[:2] for pair in look_alikes(images, rows, [Twins((105, 107), "bytes")])] == [
        (103, 2500)
    ]


def test_one_of_a_group_of_twins_may_look_like_another_photo():
    images = unit(np.array([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0]]))
    assert look_alikes(images, [0, 1, 2], [Twins((0, 2), "pixels")])[0][:2] == (0, 1)


@pytest.mark.slow
def test_frozen_encoders_rank_without_a_common_space(ward):
    pytest.importorskip("torch")
    found = ward.check(model="frozen", top=10)
    assert found.model == "frozen" and len(found.ranking) == 10
    assert "look_alike" not in found.findings
    assert all(np.isfinite(item["doubt"]) for item in found.ranking)
