"""What judges an export never calibrates it."""

import numpy as np

from pairlight.data.manifest import read_manifest
from pairlight.export.probes import (
    CALIBRATION,
    calibration_probes,
    from_manifest,
    from_photos,
    from_sample,
    read_probes,
)


def ids(photos):
    return {photo.image_id for photo in photos}


def test_the_halves_of_the_sample_share_no_photo():
    for seed in (0, 1):
        sources = from_sample(seed)
        assert not ids(sources.judged) & ids(sources.calibration)
        assert len(sources.judged) + len(sources.calibration) == 35
    assert ids(from_sample(0).judged) != ids(sources.judged)
    assert ids(from_sample(0).judged) == ids(from_sample(0).judged)


def test_a_manifest_calibrates_with_its_training_split(sample_manifest):
    sources = from_manifest(sample_manifest, "val")
    assert {photo.split for photo in sources.judged} == {"val"}
    assert {photo.split for photo in sources.calibration} == {"train"} and not sources.few
    assert list(sources.learnt) == list(sources.calibration)
    assert from_manifest(sample_manifest, None).judged_name == "sample.jsonl, split test"


def test_judging_on_the_training_split_calibrates_with_the_sample(sample_manifest):
    for split in ("train", "all"):
        sources = from_manifest(sample_manifest, split)
        assert sources.calibration_name.startswith("bundled sample") and sources.few
        assert not sources.learnt


def test_few_photos_are_varied(sample_manifest):
    photos = read_manifest(sample_manifest, "val")
    sources = from_photos(photos, "mine")
    probes = calibration_probes(sources, 32, seed=0)
    assert probes.pixels.shape == (CALIBRATION, 32, 32, 3) and len(probes.captions) == 175
    np.testing.assert_array_equal(probes.pixels, calibration_probes(sources, 32, seed=0).pixels)
    assert len(np.unique(probes.pixels.reshape(CALIBRATION, -1), axis=0)) == CALIBRATION


def test_probes_leave_out_what_does_not_open(sample_manifest, tmp_path):
    import dataclasses

    photos = read_manifest(sample_manifest, "val")
    photos[1] = dataclasses.replace(photos[1], image=tmp_path / "gone.jpg")
    probes = read_probes(photos, "val", 32, seed=0)
    assert len(probes.pixels) == 6 and len(probes.captions) == 30
    assert probes.captions[5] == photos[2].captions[0] and probes.owner[5] == 1
