"""Describes what clients send and get: the schemas of the OpenAPI document."""

from typing import Annotated

from fastapi import UploadFile
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from pairlight.errors import ConfigError
from pairlight.search.filters import read_filters
from pairlight.search.query import LONGEST, Query
from pairlight.search.records import Filters
from pairlight.serve.problems import Problem, in_api_words

MOST_HITS = 500
Words = Annotated[str, StringConstraints(max_length=LONGEST)]
_Date = Annotated[str, StringConstraints(max_length=40)]
_DATE = "`2024`, `2024-05`, `2024-05-31` or `2024-05-31T18:20`"


class _Wish(BaseModel):
    text: Words | None = Field(
        None, description="What the photos should show.", examples=["a dog on the beach"]
    )
    without: list[Words] = Field(
        default_factory=list, alias="not", max_length=8, description="What they should not show."
    )
    all: bool = Field(False, description="Return also what is hardly relevant.")


class Narrowing(BaseModel):
    """Which photos may be found, and how many."""

    model_config = ConfigDict(extra="forbid")

    k: int = Field(24, ge=1, le=MOST_HITS, description="Most hits to return.")
    fold: bool = Field(True, description="Show photos that are alike as one.")
    path: Words | None = Field(
        None,
        description="Only photos whose path fits: `*` and `?` match any character, slashes too.",
        examples=["2019/*"],
    )
    after: _Date | None = Field(None, description=f"Only photos taken then or later: {_DATE}.")
    before: _Date | None = Field(None, description=f"Only photos taken earlier: {_DATE}.")
    min_size: _Date | None = Field(None, description="Smallest file: `500000`, `500k` or `1.5MB`.")
    max_size: _Date | None = Field(None, description="Largest file.")
    min_width: int | None = Field(None, ge=1, le=10**6, description="Smallest width in pixels.")
    min_height: int | None = Field(None, ge=1, le=10**6, description="Smallest height in pixels.")

    def filters(self) -> Filters:
        """Return the filters; raises `Problem` for a date or size that is none."""
        try:
            return read_filters(self.path, self.after, self.before, self.min_size, self.max_size,
                                self.min_width, self.min_height)  # fmt: skip
        except ConfigError as error:
            raise Problem(422, in_api_words(str(error))) from None


class Asked(Narrowing, _Wish):
    """A search in words."""

    def query(self, with_image: bool = False) -> Query:
        """Return the query; raises `Problem` for one that asks for nothing."""
        text = (self.text or "").strip()
        if not text and not with_image:
            raise Problem(422, "nothing to search for; give a text, an image, or both")
        # The image is put in once it has a file; until then the query stands for it.
        return Query(text or None, "image" if with_image else None, tuple(self.without),
                     self.filters(), self.k, self.fold, not self.all)  # fmt: skip


class AskedWithImage(Asked):
    """A search by example, with words if there are any."""

    image: UploadFile | None = Field(None, description="Photo to find the like of.")


class Failure(BaseModel):
    """Why a request was refused, in one line."""

    error: str = Field(examples=["nothing to search for; give a text, an image, or both"])


class Photo(BaseModel):
    """A photo of the store."""

    id: int = Field(description="Names the photo for good; it is never given to another.")
    name: str = Field(description="Its file's name, odd characters escaped.", examples=["a.jpg"])
    folder: str = Field(description="Its folder, from the indexed one on.", examples=["Photos/a"])
    taken: str | None = Field(description="Local time.", examples=["2024-05-31T18:20:00"])
    width: int = Field(examples=[4032])
    height: int = Field(examples=[3024])
    size: int = Field(description="Bytes of its file.", examples=[2345678])
    photo: str = Field(examples=["/api/v1/photos/7"])
    thumbnail: str = Field(examples=["/api/v1/photos/7/thumbnail"])


class FoundPhoto(Photo):
    """A hit."""

    score: float = Field(description="Cosine in [-1, 1].", examples=[0.41])
    relevance: float | None = Field(
        description="Probability in [0, 1] that it shows what was asked for; null where unknown.",
        examples=[0.87],
    )
    duplicates: list[Photo] = Field(description="Photos alike, folded into this one.")


class Answer(BaseModel):
    """The hits of a search, best first."""

    photos: int = Field(description="Distinct photos in the store.", examples=[35])
    searched: int = Field(description="How many of them passed the filters.", examples=[35])
    best: float | None = Field(description="Highest relevance there was.", examples=[0.87])
    cutoff: float | None = Field(description="Relevance below which hits were left out.")
    note: str = Field(description="Why relevance is not known; empty where it is.", examples=[""])
    hits: list[FoundPhoto]
    nearest: list[FoundPhoto] = Field(
        description="Where the cutoff leaves no hit, the first few that it took away."
    )
    unknown: list[str] = Field(
        description="Words of the text that the model has hardly met in training.",
        examples=[["pagoda"]],
    )
    left_out: int = Field(
        description="How many of the first `k` the cutoff took away.", examples=[2]
    )
    fitting: int | None = Field(
        description="How many photos of the store at least reach the cutoff, whatever the "
        "filters; null where there is none.",
        examples=[8],
    )


class ModelFacts(BaseModel):
    """The model that searches."""

    name: str = Field(examples=["small"])
    embed_dim: int = Field(examples=[256])


class LimitFacts(BaseModel):
    """What a request may take."""

    max_upload_mb: float
    timeout: float = Field(description="Seconds.")
    queue: int


class Stats(BaseModel):
    """What there is to search, and by what."""

    version: str = Field(examples=["0.1.0"])
    photos: int = Field(examples=[35])
    skipped: int = Field(description="Files that indexing could not read.", examples=[0])
    folders: list[str] = Field(description="Names of the indexed folders.", examples=[["Photos"]])
    model: ModelFacts
    cutoff: float | None = Field(description="Null where relevance is not known.", examples=[0.2])
    limits: LimitFacts


class Health(BaseModel):
    """A sign of life."""

    status: str = Field(examples=["ok"])
