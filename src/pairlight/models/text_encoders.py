"""Builds text encoders: packaged MiniLM, or a Hugging Face BERT by name or local directory."""

import logging
import re
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.utils import logging as hf_logging

from pairlight.errors import ConfigError, ModelError
from pairlight.models.weights import packaged_file

TEXT_ENCODERS = ("minilm",)


class TextEncoder(nn.Module):
    """A BERT without its pooler.

    `forward` takes tokens (M, L) int64 and mask (M, L) bool and gives (M, L, `dim`).
    `tokenizer` is the text of its tokenizer.json and `config` its configuration, with which a
    checkpoint rebuilds it without the files it came from.
    """

    def __init__(self, bert: nn.Module, tokenizer: str):
        super().__init__()
        self.bert = bert
        if getattr(bert, "pooler", None) is not None:
            bert.pooler = None  # type: ignore[assignment]
        self.tokenizer = tokenizer
        self.dim: int = bert.config.hidden_size  # type: ignore[union-attr, assignment]

    @property
    def config(self) -> dict:
        """The configuration as plain values."""
        return self.bert.config.to_dict()  # type: ignore[union-attr, operator]

    @property
    def positions(self) -> int | None:
        """How many tokens a text may have; None where nothing limits it."""
        count = getattr(self.bert.config, "max_position_embeddings", None)
        table = getattr(getattr(self.bert, "embeddings", None), "position_embeddings", None)
        if not isinstance(count, int) or count < 1:
            return None
        # RoBERTa counts positions from behind the one of padding.
        padding = getattr(table, "padding_idx", None)
        return count if padding is None else count - padding - 1

    @property
    def layers(self) -> nn.ModuleList:
        """The transformer layers in order, for staged unfreezing."""
        lists = [m for m in self.bert.modules() if isinstance(m, nn.ModuleList)]
        return max(lists, key=len)

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the hidden states (M, L, dim) of tokens (M, L)."""
        return self.bert(input_ids=tokens, attention_mask=mask.long()).last_hidden_state

    @property
    def divisible(self) -> bool:
        """Whether `lower` and `upper` exist: the network is embeddings and a chain of layers."""
        layers = getattr(getattr(self.bert, "encoder", None), "layer", None)
        return layers is self.layers and hasattr(self.bert, "embeddings")

    def lower(self, tokens: torch.Tensor, mask: torch.Tensor, layers: int) -> torch.Tensor:
        """Return the hidden states (M, L, dim) that the last `layers` layers would be given."""
        hidden = self.bert.embeddings(input_ids=tokens)  # type: ignore[operator]
        return _run(self.layers[: len(self.layers) - layers], hidden, mask)

    def upper(self, hidden: torch.Tensor, mask: torch.Tensor, layers: int) -> torch.Tensor:
        """Return the last hidden states of what `lower` gave with the same `layers`."""
        return _run(self.layers[len(self.layers) - layers :], hidden, mask)


def _run(layers: Iterable[nn.Module], hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    blocked = torch.zeros(mask.shape, dtype=hidden.dtype, device=hidden.device)
    blocked = blocked.masked_fill(~mask, torch.finfo(hidden.dtype).min)[:, None, None]
    for layer in layers:
        hidden = layer(hidden, blocked)  # (M, 1, 1, L) is added to attention scores
    return hidden


def build_text_encoder(name: str, pretrained: bool = True) -> TextEncoder:
    """Return the text encoder: `minilm`, a local directory, or a Hugging Face name.

    With `pretrained` false the layers are random, the tokenizer and sizes still the named ones.
    Raises `ConfigError` for a name that cannot be one, `ModelError` when its files are not to be
    had, saying how to get them.
    """
    if name == "minilm":
        folder = str(packaged_file(name).parent)
    elif Path(name).is_dir():
        folder = name
    elif re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) and not name.startswith("."):
        folder = name
    else:
        raise ConfigError(
            f"unknown text encoder {name!r}; choose from {', '.join(TEXT_ENCODERS)}, a directory "
            "with config.json, tokenizer.json and model.safetensors, or a Hugging Face name"
        )
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        return _load(folder, pretrained)
    except ModelError:
        raise
    except Exception as error:  # transformers raises many kinds for files that do not fit
        raise ModelError(_how_to_get(name, error)) from None


def _load(folder: str, pretrained: bool) -> TextEncoder:
    # A folder's own code is never run, and nobody is asked whether it may be.
    tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True, trust_remote_code=False)
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    if pretrained:
        bert = AutoModel.from_pretrained(folder, dtype=torch.float32, trust_remote_code=False)
    else:
        bert = AutoModel.from_config(config)
    encoder = TextEncoder(bert, _definition(tokenizer, folder))
    with torch.no_grad():
        one = torch.ones(1, 2, dtype=torch.long)
        if encoder.eval()(one, one.bool()).shape != (1, 2, encoder.dim):
            raise ModelError(f"text encoder {folder!r} gives no hidden state for each token")
    return encoder.train()


def rebuild_text_encoder(config: dict, tokenizer: str) -> TextEncoder:
    """Return an encoder of this configuration with random weights, to load a checkpoint into."""
    hf_logging.set_verbosity_error()
    fields = {key: value for key, value in config.items() if key != "model_type"}
    try:
        return TextEncoder(
            AutoModel.from_config(AutoConfig.for_model(config["model_type"], **fields)), tokenizer
        )
    except (KeyError, ValueError, TypeError) as error:
        raise ModelError(f"the checkpoint's text encoder cannot be rebuilt: {error}") from None


def _definition(tokenizer, name: str) -> str:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ModelError(f"text encoder {name!r} has no fast tokenizer (tokenizer.json)")
    return backend.to_str()


def _how_to_get(name: str, error: Exception) -> str:
    if Path(name).is_dir():
        reason = str(error).strip().split("\n")[0][:160]
        return (
            f"{name}: not a text encoder directory; it needs config.json, tokenizer.json "
            f"(or vocab.txt) and model.safetensors ({reason})"
        )
    known = ", ".join([*TEXT_ENCODERS])
    return (
        f"text encoder {name!r} is neither packaged ({known}) nor a directory, and could not be "
        "downloaded; on a machine with a network run AutoModel and AutoTokenizer "
        f"from_pretrained({name!r}).save_pretrained(DIR), then set model.text_encoder=DIR"
    )
