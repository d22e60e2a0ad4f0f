"""Asks for photos in words: what a text encoder makes of a text, and what its single words say.

A text encoder that learnt from whole captions makes less of "a dog" than the photos could tell:
a linear classifier of photo embeddings finds single words better than the encoder does. So the
weights of such classifiers, one a word, are added to the embeddings of short texts.
"""

import io
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from pairlight.errors import ModelError
from pairlight.hubs import as_queries
from pairlight.words import content_words

# How much single words say beside the text as a whole, by the square of how many there are: a
# caption of five says more as a whole. Measured on held-out photos (docs/search.md).
WEIGHT = 3.0
# "a pizza", "the pizza" and "pizza" ask for the same.
_ARTICLE = re.compile(r"\s*(?:an?|the)\s+(?=\S)", re.IGNORECASE)
# More than any vocabulary that `export` keeps.
_MOST = 100_000


class TextEncoder(Protocol):
    """What is asked of a loaded model, which may have `word_vectors`."""

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return (m, d) float32 embeddings of texts."""
        ...


@dataclass(frozen=True)
class WordVectors:
    """A vector for each of some content words, in the space of photo embeddings.

    `vectors` (n, d) are int8 and `scales` (n,) float32: a row times its scale is the gradient of
    the logarithm of the odds that a photo shows the word, over the model's logit scale.
    """

    words: tuple[str, ...]
    vectors: np.ndarray
    scales: np.ndarray
    _rows: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        sizes = {len(self.words), len(self.vectors), len(self.scales)}
        sound = self.vectors.ndim == 2 and self.vectors.dtype == np.int8 and len(sizes) == 1
        if not sound or self.scales.ndim != 1 or not np.isfinite(self.scales).all():
            raise ModelError("word vectors: one int8 row and one finite scale a word are due")
        object.__setattr__(self, "_rows", {word: n for n, word in enumerate(self.words)})

    @classmethod
    def of(cls, words: Sequence[str], vectors: np.ndarray) -> "WordVectors":
        """Return word vectors (n, d) as int8 with a scale a row."""
        scales = np.maximum(np.abs(vectors).max(axis=1), 1e-12) / 127
        rounded = np.round(vectors / scales[:, None]).astype(np.int8)
        return cls(tuple(words), rounded, scales.astype(np.float32))

    def added(self, texts: Sequence[str], embeddings: np.ndarray) -> np.ndarray:
        """Return unit vectors (m, d) float32 of texts and their `embeddings` (m, d) as queries."""
        asked = embeddings.astype(np.float32, copy=True)
        for row, text in enumerate(texts):
            words = content_words(text)
            known = [self._rows[word] for word in words if word in self._rows]
            if known:
                said = self.scales[known] @ self.vectors[known].astype(np.float32)
                asked[row] += WEIGHT / len(words) ** 2 * said
        return asked / np.linalg.norm(asked, axis=1, keepdims=True)

    def to_bytes(self) -> bytes:
        """Return it as the content of a .npz file."""
        out = io.BytesIO()
        np.savez(out, words=np.array(self.words), vectors=self.vectors, scales=self.scales)
        return out.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes, embed_dim: int) -> "WordVectors":
        """Return what `to_bytes` gave; raises `ModelError` for anything else."""
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                words, vectors, scales = (file[name] for name in ("words", "vectors", "scales"))
        except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise ModelError(f"word vectors cannot be read: {error}; export again") from None
        if words.dtype.kind != "U" or words.ndim != 1 or len(words) > _MOST:
            raise ModelError("word vectors: a list of words is due; export again")
        if vectors.ndim != 2 or vectors.shape[1] != embed_dim:
            raise ModelError(f"word vectors: rows of {embed_dim} numbers are due; export again")
        return cls(tuple(words.tolist()), vectors, scales)


def query_texts(texts: Sequence[str]) -> list[str]:
    """Return texts as they are asked: without an article in front."""
    return [text[found.end() :] if (found := _ARTICLE.match(text)) else text for text in texts]


def encode_queries(model: TextEncoder, texts: Sequence[str]) -> np.ndarray:
    """Return (m, d) float32 unit vectors by which texts ask for photos.

    These are the embeddings of `query_texts`, without a text's own correction of hubs, with what
    the model's `word_vectors`, where it has any, say of their words.
    """
    asked = as_queries(model, model.encode_texts(query_texts(texts)))
    words = getattr(model, "word_vectors", None)
    return words.added(texts, asked) if words is not None else asked
