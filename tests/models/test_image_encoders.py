"""Image encoders: shapes, sensible classes, folding, names."""

import copy

import pytest
import timm
import torch
from torch import nn

from pairlight.errors import ConfigError, ModelError
from pairlight.imaging import load_square
from pairlight.models.image_encoders import _fold, build_image_encoder
from pairlight.models.weights import load_into, packaged_file, read_state_dict
from pairlight.sample import sample_dir

# ImageNet-1k classes of what is plainly to be seen in some of the bundled photos.
CLASSES = {
    "000000116479.jpg": {564},  # four-poster bed
    "000000160012.jpg": {963},  # pizza
    "000000252332.jpg": {919},  # street sign
    "000000377575.jpg": {265, 266, 267},  # poodles
    "000000519208.jpg": {101, 385, 386},  # tusker, elephants
    "000000551780.jpg": {409, 892},  # clocks
}


@pytest.mark.parametrize(
    ("name", "size", "dim", "regions"),
    [
        ("efficientnet_lite0", 64, 1280, 4),
        ("resnet50", 64, 2048, 4),
        ("timm:test_efficientnet", 64, 256, 4),
        ("test_vit", 96, 64, 37),
    ],
)
def test_regions_have_the_promised_shape(name, size, dim, regions):
    encoder = build_image_encoder(name, size, pretrained=False)
    pixels = torch.zeros(2, 3, size, size, dtype=torch.uint8)
    assert encoder(pixels).shape == (2, regions, dim)
    assert encoder.dim == dim


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite2"])
def test_packaged_weights_see_what_is_in_the_photos(name):
    net = timm.create_model(f"tf_{name}").eval()
    path = packaged_file(name)
    load_into(net, read_state_dict(path), str(path))
    for photo, classes in CLASSES.items():
        pixels = torch.from_numpy(load_square(sample_dir() / "images" / photo, 224).copy())
        x = (pixels.permute(2, 0, 1)[None].float() - 127.5) / 127.5
        with torch.no_grad():
            best = int(net(x).argmax())
        assert best in classes, f"{name} takes {photo} for class {best}"


def test_folding_changes_no_feature():
    torch.manual_seed(0)
    net = timm.create_model("test_efficientnet", num_classes=0, global_pool="").eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        want = net(x)
        _fold(net)
        torch.testing.assert_close(net(x), want, rtol=1e-4, atol=1e-4)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in net.modules())


def test_a_net_that_cannot_be_folded_is_left_whole(monkeypatch):
    class Twisted(nn.Module):
        """Children in another order than they compute: norm first, then convolution."""

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1, bias=False)
            self.norm = nn.BatchNorm2d(3)
            nn.init.normal_(self.norm.running_mean)

        def forward(self, x):
            return self.conv(self.norm(x).square())

    from pairlight.models import image_encoders
    from pairlight.models.image_encoders import ImageEncoder

    def build(pretrained, size):
        return ImageEncoder(Twisted(), lambda net, x: net(x), 3, (0.5,) * 3, (0.5,) * 3)

    monkeypatch.setitem(image_encoders.IMAGE_ENCODERS, "twisted", build)
    encoder = build_image_encoder("twisted", 64, pretrained=False)
    assert isinstance(encoder.net.norm, nn.BatchNorm2d)
    assert encoder.net.conv.bias is None


def test_norms_stay_frozen_in_training():
    encoder = build_image_encoder("timm:test_resnet", 64, pretrained=False).train()
    assert not any(module.training for module in encoder.modules())


def test_a_wrong_name_lists_the_choices():
    with pytest.raises(ConfigError, match="efficientnet_lite0, efficientnet_lite2, resnet50"):
        build_image_encoder("resnet5")


def test_weights_out_of_reach_say_how_to_get_them(monkeypatch):
    import torchvision

    def no_network(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(torchvision.models, "get_model", no_network)
    with pytest.raises(ModelError, match="model.image_weights=FILE"):
        build_image_encoder("resnet50")


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet50", "timm:test_efficientnet"])
def test_lower_and_upper_make_the_whole(name):
    encoder = build_image_encoder(name, 64, pretrained=False)
    pixels = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    assert encoder.divisible
    with torch.no_grad():
        want = encoder(pixels)
        for blocks in (0, 1, 3, len(encoder.blocks)):
            found = encoder.upper(encoder.lower(pixels, blocks), blocks)
            assert torch.allclose(found, want, atol=1e-5)


def test_lower_never_reaches_the_trained_blocks():
    encoder = build_image_encoder("timm:test_efficientnet", 64, pretrained=False)
    pixels = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        before = encoder.lower(pixels, 2)
        for parameter in (p for block in encoder.blocks[-2:] for p in block.parameters()):
            parameter.add_(1)
        assert torch.equal(encoder.lower(pixels, 2), before)


def test_a_network_of_unknown_order_is_not_divided():
    assert not build_image_encoder("timm:test_vit", 160, pretrained=False).divisible


def test_depthwise_convolutions_stay_in_float32_under_bf16():
    encoder = build_image_encoder("efficientnet_lite0", 64, pretrained=False)
    kinds = {True: set(), False: set()}
    for conv in encoder.modules():
        if isinstance(conv, nn.Conv2d):
            conv.register_forward_hook(
                lambda conv, inputs, out: kinds[conv.groups > 1].add(out.dtype)
            )
    pixels = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    with torch.autocast("cpu", torch.bfloat16):
        encoder(pixels)
    assert kinds == {True: {torch.float32}, False: {torch.bfloat16}}


def test_a_copy_has_weights_of_its_own():
    encoder = build_image_encoder("efficientnet_lite0", 64, pretrained=False)
    pixels = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    twin = copy.deepcopy(encoder)
    with torch.no_grad():
        before = encoder(pixels)
        for conv in twin.modules():
            if isinstance(conv, nn.Conv2d) and 1 < conv.groups == conv.in_channels:
                conv.weight.zero_()
        assert torch.equal(encoder(pixels), before)
        assert not torch.equal(twin(pixels), before)
