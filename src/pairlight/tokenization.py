"""Turns texts into token ids, the same way in training, evaluation, export and search."""

from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from pairlight.errors import ModelError


@dataclass(frozen=True)
class Tokens:
    """One caption's ids (special ones included) and, for each, its word's number or None."""

    ids: list[int]
    words: list[int | None]


class TextTokenizer:
    """A `tokenizers` tokenizer, cut to `max_tokens`.

    `definition` is the text of a tokenizer.json, so that a checkpoint can carry it. Raises
    `ModelError` when it is none.
    """

    def __init__(self, definition: str, max_tokens: int):
        try:
            self._inner = Tokenizer.from_str(definition)
        except Exception as error:  # the Rust side raises bare Exceptions
            raise ModelError(f"not a tokenizer.json: {error}") from None
        self.definition = definition
        self._inner.no_padding()
        self._inner.enable_truncation(max_tokens)
        self.pad_id = self._id("[PAD]", "<pad>") or 0
        self.mask_id = self._id("[MASK]", "<mask>")

    def _id(self, *names: str) -> int | None:
        ids = [self._inner.token_to_id(name) for name in names]
        return next((each for each in ids if each is not None), None)

    def __call__(self, texts: list[str]) -> list[Tokens]:
        """Return the tokens of each text; what is no text, as half a character, becomes a "?"."""
        whole = [each.encode("utf-8", "replace").decode() for each in texts]
        return [Tokens(each.ids, each.word_ids) for each in self._inner.encode_batch(whole)]

    def to_json(self) -> str:
        """Return a tokenizer.json that cuts to `max_tokens` by itself and does not pad."""
        return self._inner.to_str(pretty=False)

    def pad_arrays(self, ids: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
        """Return tokens (M, L) int64 and mask (M, L) bool, L being the longest of the M."""
        length = max(1, *map(len, ids))  # A text may have no token where none is special.
        tokens = np.full((len(ids), length), self.pad_id, np.int64)
        mask = np.zeros((len(ids), length), bool)
        for row, each in enumerate(ids):
            tokens[row, : len(each)] = each
            mask[row, : len(each)] = True
        return tokens, mask
