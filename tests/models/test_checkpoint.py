"""Checkpoints: whole, self-contained, refused when bad, and safe when the disk is full."""

import dataclasses
import os
import pickle
import subprocess

import pytest
import torch

from pairlight.errors import ModelError, PairlightError
from pairlight.models.checkpoint import load_checkpoint, read_checkpoint, save_checkpoint
from pairlight.models.dual_encoder import DualEncoder


@pytest.fixture
def model(tiny_recipe):
    torch.manual_seed(0)
    return DualEncoder.build(tiny_recipe.model).eval()


def test_round_trip_without_the_encoders_files(model, tmp_path):
    config = dataclasses.replace(model.config, text_encoder="/gone")
    model.config = config
    path = tmp_path / "m.pth"
    save_checkpoint(path, model, epoch=3)
    twin, content = load_checkpoint(path, embed_dim=16)
    assert content["epoch"] == 3
    pixels = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    tokens, mask = model.tokenizer.pad([each.ids for each in model.tokenizer(["a dog"])])
    with torch.no_grad():
        for one, two in zip(model(pixels, tokens, mask), twin(pixels, tokens, mask), strict=True):
            assert torch.equal(one, two)


def test_another_embed_dim_is_refused(model, tmp_path):
    save_checkpoint(tmp_path / "m.pth", model)
    with pytest.raises(ModelError, match="its embed_dim is 16, not the 256 asked for"):
        read_checkpoint(tmp_path / "m.pth", embed_dim=256)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(model, tmp_path, share):
    path = tmp_path / "m.pth"
    save_checkpoint(path, model)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ModelError, match="m.pth: (not a pairlight checkpoint|refused)"):
        read_checkpoint(path)


class Trap:
    """Pickles to a call that leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (self.path,))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path, zipped):
    sign = tmp_path / "ran"
    path = tmp_path / "bad.pth"
    content = {"format": "pairlight-checkpoint", "version": 1, "state_dict": Trap(str(sign))}
    if zipped:
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(ModelError, match="bad.pth"):
        read_checkpoint(path)
    assert not sign.exists()


def test_foreign_and_missing_files(tmp_path):
    with pytest.raises(ModelError, match="none.pth: checkpoint not found"):
        read_checkpoint(tmp_path / "none.pth")
    torch.save({"weight": torch.ones(2)}, tmp_path / "foreign.pth")
    with pytest.raises(ModelError, match="not a pairlight checkpoint"):
        read_checkpoint(tmp_path / "foreign.pth")
    with pytest.raises(ModelError, match="not a pairlight checkpoint"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("key", ["model", "text_config", "tokenizer", "state_dict"])
def test_a_checkpoint_without_its_parts(model, tmp_path, key):
    save_checkpoint(tmp_path / "m.pth", model)
    content = torch.load(tmp_path / "m.pth", weights_only=True)
    del content[key]
    torch.save(content, tmp_path / "m.pth")
    with pytest.raises(ModelError, match=f"{key} is missing or damaged"):
        load_checkpoint(tmp_path / "m.pth")


def test_weights_that_do_not_fit(model, tmp_path):
    model.config = dataclasses.replace(model.config, embed_dim=32)
    save_checkpoint(tmp_path / "m.pth", model)
    with pytest.raises(ModelError, match="its weights do not fit its configuration: size mismatch"):
        load_checkpoint(tmp_path / "m.pth")


def test_a_later_version_is_refused(model, tmp_path):
    save_checkpoint(tmp_path / "m.pth", model, version=2)
    with pytest.raises(ModelError, match="version 2 is not 1"):
        read_checkpoint(tmp_path / "m.pth")


def test_a_full_disk_leaves_the_old_checkpoint_whole(model, tmp_path):
    """On a real file system that is too small for a second checkpoint."""
    disk = tmp_path / "disk"
    disk.mkdir()
    path = disk / "m.pth"
    save_checkpoint(tmp_path / "probe.pth", model)
    size = (tmp_path / "probe.pth").stat().st_size
    mount = ["mount", "-t", "tmpfs", "-o", f"size={int(size * 1.5)}", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        save_checkpoint(path, model, epoch=1)
        with pytest.raises(PairlightError, match="m.pth: could not be written.*old file is unharm"):
            save_checkpoint(path, model, epoch=2)
        assert load_checkpoint(path)[1]["epoch"] == 1
        assert os.listdir(disk) == ["m.pth"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_write_that_fails_midway_leaves_the_old_checkpoint_whole(model, tmp_path, monkeypatch):
    path = tmp_path / "m.pth"
    save_checkpoint(path, model, epoch=1)

    def full_disk(content, aside):
        aside.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(PairlightError, match="No space left on device"):
        save_checkpoint(path, model, epoch=2)
    monkeypatch.undo()
    assert load_checkpoint(path)[1]["epoch"] == 1
    assert os.listdir(tmp_path) == ["m.pth"]
