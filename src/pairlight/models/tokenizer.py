"""Gives the shared tokenizer's ids to torch."""

import torch

from pairlight.tokenization import TextTokenizer, Tokens

__all__ = ["Tokenizer", "Tokens"]


class Tokenizer(TextTokenizer):
    """The tokenizer of a text encoder; `definition` is the text of its tokenizer.json."""

    def pad(self, ids: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return tokens (M, L) int64 and mask (M, L) bool, L being the longest of the M."""
        tokens, mask = self.pad_arrays(ids)
        return torch.from_numpy(tokens), torch.from_numpy(mask)
