"""Fits word vectors to photo embeddings, and judges on other photos whether they help."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from pairlight.runtime.word_vectors import WordVectors
from pairlight.types import Json
from pairlight.words import content_words, pieces, shown_words

# More photos than this would take longer and tell little more.
BANK = 10_000
# A word that fewer photos show has too few examples; more words than this are seldom asked for.
LEAST, MOST = 10, 4000
# Penalty on squared weights, in nats a photo; of 3e-4 to 1e-2 the best compromise: less
# finds more of what is like the training photos, and is surer of what is not there elsewhere.
RIDGE = 3e-3
# Words and short texts are judged by where they rank photos, if at least so many show them.
SHOWN = 3


@dataclass(frozen=True)
class Trial:
    """Word vectors, and the mean average precision of short texts without them and with them."""

    vectors: WordVectors
    before: float
    after: float
    queries: int
    photos: int

    @property
    def kept(self) -> bool:
        """Whether they help."""
        return self.after > self.before

    def to_json(self) -> Json:
        """Return what there is to tell."""
        found = {"without": round(self.before, 4), "with": round(self.after, 4)}
        words = len(self.vectors.words)
        return {"words": words, "photos": self.photos, "queries": self.queries, "mAP": found}


def words_shown(captions: Sequence[Sequence[str]]) -> list[set[str]]:
    """Return the words of each photo's captions that say what is seen."""
    return [set().union(*map(shown_words, own)) for own in captions]


def showing(text: str, shown: Sequence[set[str]]) -> np.ndarray:
    """Return which photos (n,) bool show all content words of a text; `shown` is of each photo."""
    asked = content_words(text)
    return np.array([asked <= words for words in shown])


def fit_word_vectors(
    images: np.ndarray, captions: Sequence[Sequence[str]], scale: float
) -> WordVectors | None:
    """Return the vectors of words from embeddings (n, d) of training photos and their captions.

    They are the weights of one logistic regression a word: does one of a photo's captions have it?
    `scale` is the model's logit scale, over which they are divided. None where no word is in the
    captions of `LEAST` photos.
    """
    shown = words_shown(captions)
    counts = Counter(word for words in shown for word in words)
    words = [word for word, count in counts.most_common(MOST) if count >= LEAST]
    words = [word for word in words if counts[word] < len(images)]  # else there is nothing to tell
    if not words:
        return None
    place = {word: n for n, word in enumerate(words)}
    truth = torch.zeros(len(images), len(words))
    for row, own in enumerate(shown):
        truth[row, [place[word] for word in own if word in place]] = 1
    rows = torch.from_numpy(images - images.mean(axis=0))
    weights = torch.zeros(images.shape[1], len(words), requires_grad=True)
    share = truth.mean(dim=0)
    bias = torch.log(share / (1 - share)).requires_grad_()
    optimizer = torch.optim.LBFGS([weights, bias], max_iter=60)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        wrong = F.binary_cross_entropy_with_logits(rows @ weights + bias, truth, reduction="sum")
        total = wrong / len(rows) + RIDGE / 2 * weights.square().sum()
        total.backward()
        return total

    optimizer.step(loss)  # type: ignore[arg-type]
    return WordVectors.of(words, weights.detach().T.numpy() / scale)


def short_texts(captions: Sequence[Sequence[str]]) -> dict[str, np.ndarray]:
    """Return short pieces of captions and which photos (n,) bool show all their words.

    Only those that at least `SHOWN` photos show, and not all.
    """
    shown = words_shown(captions)
    found = {}
    for text in sorted({piece for own in captions for each in own for piece in pieces(each)}):
        right = showing(text, shown)
        if SHOWN <= right.sum() < len(shown):
            found[text] = right
    return found


def mean_average_precision(scores: np.ndarray, right: Sequence[np.ndarray]) -> float:
    """Return the mean average precision of queries with scores (m, n) and right photos (n,)."""
    found = []
    for row, truth in zip(scores, right, strict=True):
        ranked = truth[np.argsort(-row, kind="stable")]
        places = np.flatnonzero(ranked)
        found.append((np.arange(1, len(places) + 1) / (places + 1)).mean())
    return float(np.mean(found))


def try_word_vectors(
    bank: np.ndarray,
    bank_captions: Sequence[Sequence[str]],
    held_out: np.ndarray,
    held_out_captions: Sequence[Sequence[str]],
    scale: float,
    encode: Callable[[Sequence[str]], np.ndarray],
) -> Trial | None:
    """Return word vectors of the bank's photos with how they do on held-out ones.

    `encode` embeds texts as queries. None where there are no words, or no short texts to judge by.
    """
    vectors = fit_word_vectors(bank, bank_captions, scale)
    queries = short_texts(held_out_captions)
    if vectors is None or not queries:
        return None
    texts, right = list(queries), list(queries.values())
    asked = encode(texts)
    before, after = (
        mean_average_precision(each @ held_out.T, right)
        for each in (asked, vectors.added(texts, asked))
    )
    return Trial(vectors, before, after, len(texts), len(bank))
