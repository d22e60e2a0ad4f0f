"""What is looked for: a text, an example, or both, and the vector that asks for it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pairlight.errors import ConfigError, DataError, ModelError
from pairlight.runtime.word_vectors import encode_queries
from pairlight.search.names import shown
from pairlight.search.photo import read_photo
from pairlight.search.records import Encoder, Filters
from pairlight.types import Json

# How much of each --not is taken away. By benchmarks/without.py, as the share of the first ten
# that show A and not B: 0.57 plain, 0.59 with B projected out or 0.25 subtracted, 0.60 to 0.61 with
# 0.4 to 0.6, 0.56 with 1 (which also costs photos of A).
NOT_WEIGHT = 0.5
# The longest text, in characters: a model reads the first thirty words or so.
LONGEST = 1000


@dataclass(frozen=True)
class Query:
    """What is looked for: a text, an image file, or both, less the texts in `without`.

    At most `k` hits come; with `fold`, photos that are alike count as one. With `cut`, hits whose
    relevance is below the calibration's cutoff are left out.
    """

    text: str | None = None
    image: str | None = None
    without: tuple[str, ...] = ()
    filters: Filters = field(default_factory=Filters)
    k: int = 10
    fold: bool = True
    cut: bool = True

    def __post_init__(self) -> None:
        without = tuple(each for each in self.without if each.strip())
        object.__setattr__(self, "without", without)
        if not (self.text and self.text.strip()) and self.image is None:
            raise ConfigError("nothing to search for; give a text, --image FILE, or both")
        if (longest := max(map(len, (self.text or "", *without)))) > LONGEST:
            raise ConfigError(f"a text of {longest} characters; {LONGEST} are the most, shorten it")
        if self.k < 1:
            raise ConfigError(f"-k {self.k}: at least one hit must be asked for")

    def words(self) -> str:
        """Return the query as one line of words."""
        parts = [self.text or "", f"like {shown(self.image)}" if self.image else ""]
        parts += [f"not {each}" for each in self.without]
        return ", ".join(part for part in parts if part)

    def to_json(self) -> Json:
        """Return what was asked as plain values."""
        filters = {key: value for key, value in vars(self.filters).items() if value is not None}
        asked = {"text": self.text, "image": self.image, "not": list(self.without)}
        return {**asked, "filters": filters, "k": self.k}

    @property
    def plain(self) -> bool:
        """Whether it is a text and nothing else, the kind that calibrations are fitted on."""
        return self.image is None and not self.without


def query_vector(model: Encoder, query: Query) -> np.ndarray:
    """Return the unit vector (d,) float32 of a query.

    The unit vectors of text and image are added, so that both have a say; `NOT_WEIGHT` times that
    of each `without` is subtracted. A photo's score is its cosine with the result.
    """
    texts = [query.text.strip()] if query.text and query.text.strip() else []
    asked = [*texts, *query.without]
    parts = encode_queries(model, asked) if asked else None
    total = np.zeros(model.embed_dim, np.float64)
    if parts is not None:
        weights = [1.0] * len(texts) + [-NOT_WEIGHT] * len(query.without)
        total += np.asarray(weights) @ parts
    if query.image is not None:
        try:
            pixels, _ = read_photo(query.image, model.image_size)
        except DataError as error:
            raise DataError(f"--image {error}") from None
        total += model.encode_pixels(pixels[None])[0]
    length = float(np.linalg.norm(total))
    if not np.isfinite(length):
        raise ModelError(f"{model.name}: gave no number for this query; the model is damaged")
    if length < 1e-3:
        raise ConfigError("the parts of this query cancel each other out; change its --not")
    return (total / length).astype(np.float32)
