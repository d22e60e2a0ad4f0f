"""Keeps what the image encoder knew before training: classes, asked for by their names."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from pairlight import losses
from pairlight.config import ModelConfig
from pairlight.data.language import language_of
from pairlight.embed import TEXT_CHUNK
from pairlight.models.classifier import Classifier, classifier_of
from pairlight.models.dual_encoder import DualEncoder
from pairlight.output import Output
from pairlight.runtime.batches import text_batches
from pairlight.train.kept import Kept
from pairlight.train.precision import Precision
from pairlight.train.stem import Stem
from pairlight.train.teachers import rows_of
from pairlight.types import Photo

if TYPE_CHECKING:
    from pairlight.train.epoch import Embedded

PROMPT = "a photo of a {}"
DRAWN = 192  # Names a step where text is trained: about a fifth of what its captions take.
ENOUGH_TO_TELL = 2000  # Captions whose language is looked at.
RARE = 0.1  # Share of the chance to be drawn that all classes have alike.


@dataclasses.dataclass
class ClassNames:
    """The classes of the pretrained image encoder, their names, and what it saw in a split.

    A small set of captioned photos knows little of the world, and training on it forgets what the
    image encoder had learnt to tell. Its own classifier (the last layer, which a dual encoder has
    no use for) says which of its classes each photo shows; the names of these classes are texts
    that `model` has to find as near to the photo.

    `seen` (n, C) or (n, R, C) float16 are the features of the split's photos before training, and
    `row_of` (m,) gives each caption's photo.
    """

    model: DualEncoder
    classifier: Classifier
    seen: np.ndarray
    row_of: torch.Tensor
    precision: Precision
    _features: torch.Tensor | None = None

    def __post_init__(self) -> None:
        texts = [PROMPT.format(name) for name in self.classifier.names]
        self.ids = [each.ids for each in self.model.tokenizer(texts)]
        self.device = self.precision.device
        self.weight = self.classifier.weight.to(self.device)
        self.bias = self.classifier.bias.to(self.device)

    def loss(self, batch: Embedded, scale: torch.Tensor) -> torch.Tensor:
        """Return `losses.class_names` of a batch, over some of the classes if text is trained."""
        rows = rows_of(self.row_of, batch.captions, batch.owner, len(batch.images))
        wanted = self.wanted(rows)
        if batch.mix is not None:
            wanted = batch.mix(wanted)
        if self._text_rests():
            if self._features is None:
                self._features = self.features()
            features = self._features
        else:
            self._features = None
            chosen = self._draw(wanted)
            wanted = wanted[:, chosen]
            with self.precision.autocast():
                features = self._embed([self.ids[n] for n in chosen.tolist()])
        names = self.model.project_texts(features)
        return losses.class_names(batch.images, names, scale, wanted)

    def wanted(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the probabilities (B, K) of classes for photos of the split, by row."""
        features = torch.from_numpy(self.seen[rows.cpu().numpy()]).to(self.weight)
        if features.ndim == 3:
            features = features.mean(1)
        return (features @ self.weight.T + self.bias).softmax(1)

    @torch.no_grad()
    def features(self) -> torch.Tensor:
        """Return what the text encoder makes of all names now, (K, D)."""
        training = self.model.training
        self.model.eval()
        features = self._embed(self.ids)
        self.model.train(training)
        return features

    def _draw(self, wanted: torch.Tensor) -> torch.Tensor:
        """Return numbers of classes: those that a batch shows are drawn more often."""
        chance = (1 - RARE) * wanted.mean(0) + RARE / wanted.shape[1]
        return torch.multinomial(chance, min(DRAWN, len(chance)))

    def _embed(self, ids: Sequence[list[int]]) -> torch.Tensor:
        order, parts = [], []
        for rows in text_batches(ids, TEXT_CHUNK):
            tokens, mask = self.model.tokenizer.pad([ids[row] for row in rows])
            given = tokens.to(self.device), mask.to(self.device)
            parts.append(self.model.text_features(*given).float())
            order += rows
        return torch.cat(parts)[torch.tensor(order).argsort().to(self.device)]

    def _text_rests(self) -> bool:
        parts = (self.model.text_encoder, self.model.text_pool)
        return not any(p.requires_grad for part in parts for p in part.parameters())


def _language(photos: Sequence[Photo]) -> str | None:
    """Return the language, or script, of most captions that show theirs; None if none does."""
    texts = (text for photo in photos for text in photo.captions)
    found = Counter(language_of(text) for text in islice(texts, ENOUGH_TO_TELL))
    del found[None]
    return found.most_common(1)[0][0] if found else None


def ask_classifier(
    model: DualEncoder,
    config: ModelConfig,
    photos: Sequence[Photo],
    cache: Path,
    device: str,
    output: Output,
) -> ClassNames | None:
    """Return the classes of the encoder that `model` had before training, seen in `photos`.

    None, and a line that says so, where its weights come without ImageNet's classes, and for
    captions in another language than the names are. The encoders' features before training are kept
    in `cache`, where a stage with frozen encoders has them, too.
    """
    language = _language(photos)
    if language not in ("English", None):
        output.say(
            f"train.class_names: captions are {language}, names of classes English; "
            "going on without"
        )
        return None
    plain = dataclasses.replace(config, image_pooling="mean", text_pooling="mean")
    before = DualEncoder.build(plain)
    classifier = classifier_of(config, before.image_encoder)
    if classifier is None:
        output.say(
            f"train.class_names: the weights of {config.image_encoder} hold no classes of ImageNet "
            "that could be asked; going on without"
        )
        return None
    kept = Kept(Stem(before.to(device), 0, 0), photos, cache, device, output.track)
    row_of = torch.from_numpy(kept.owner).to(device)
    return ClassNames(model, classifier, kept.images(0), row_of, Precision("fp32", device))
