"""Answers the addresses under /api/v1: search, similar photos, pictures, facts."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Header, Path, Query, Request, Response

from pairlight import __version__
from pairlight.search.searcher import Result
from pairlight.serve import schemas
from pairlight.serve.library import Library
from pairlight.serve.limits import Workers
from pairlight.serve.problems import Problem
from pairlight.serve.settings import Settings
from pairlight.serve.thumbnails import Picture, Pictures

PICTURE_THREADS = 2
PICTURES_WAITING = 256  # A page asks for some dozens at once.


@dataclass(frozen=True)
class Service:
    """What the routes work with. One encoder thread: the model has all cores to itself."""

    library: Library
    pictures: Pictures
    settings: Settings
    encoder: Workers
    painters: Workers

    @classmethod
    def of(cls, library: Library, settings: Settings) -> "Service":
        """Return a service with workers of its own."""
        pictures = Pictures(library.store, int(settings.thumbnails_mb * 1e6))
        return cls(
            library,
            pictures,
            settings,
            Workers("encoder", 1, settings.queue),
            Workers("pictures", PICTURE_THREADS, PICTURES_WAITING),
        )

    def close(self) -> None:
        """Begin no more work."""
        self.encoder.close()
        self.painters.close()


def _refusals(*codes: int) -> dict:
    about = {
        400: "The form cannot be read.",
        401: "The token is missing or wrong.",
        404: "There is no such photo.",
        408: "The request did not arrive in time.",
        410: "The photo's file is gone or cannot be opened any more.",
        413: "The upload is too large.",
        415: "The body is no form.",
        422: "A parameter, or the image, cannot be used.",
        503: "Too many requests at once, or the store cannot be read now; see Retry-After.",
        504: "The search took too long.",
    }
    return {code: {"model": schemas.Failure, "description": about[code]} for code in codes}


router = APIRouter(prefix="/api/v1")
_Id = Annotated[int, Path(ge=1, lt=2**63, description="Id of a photo, as hits have it.")]
_Known = Annotated[str | None, Header(alias="If-None-Match", max_length=1000)]
_JPEG = {200: {"content": {"image/jpeg": {}}, "description": "A JPEG, without metadata."},
         304: {"description": "The picture is still the one of If-None-Match."}}  # fmt: skip


def _only_forms(request: Request) -> None:
    # Of another body nothing would be read, and the answer be that nothing was asked for.
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind not in ("", "multipart/form-data", "application/x-www-form-urlencoded"):
        raise Problem(
            415, f"{kind[:80]}: send a form (multipart/form-data), or ask in words by GET"
        )
    for name in request.query_params:
        raise Problem(422, f"{name[:80]}: parameters of a POST go into its form, not its address")


def _each_once(given: Iterable[tuple[str, object]]) -> None:
    """Raise `Problem` for a parameter given twice, of which one would not be heard."""
    counts = Counter(name for name, _ in given if name != "not")
    for name, count in counts.items():
        if count > 1:
            raise Problem(422, f"{name[:80]}: given {count} times; once is what can be asked for")


def _once(request: Request) -> None:
    _each_once(request.query_params.multi_items())


def _service(request: Request) -> Service:
    return request.app.state.service


def _told(library: Library, found: Result, response: Response) -> dict:
    response.headers["Cache-Control"] = "no-store"
    lists = {"hits": found.hits, "nearest": found.nearest}
    return {**vars(found), **{key: [library.hit(hit) for hit in lists[key]] for key in lists}}


@router.get(
    "/search",
    summary="Search in words",
    tags=["search"],
    response_model=schemas.Answer,
    responses=_refusals(401, 422, 503, 504),
    dependencies=[Depends(_once)],
)
async def search_in_words(
    request: Request, response: Response, asked: Annotated[schemas.Asked, Query()]
):
    """Find photos that show what a text says, best first.

    `score` orders photos of one search and says nothing across searches. Hits whose `relevance` is
    below the cutoff are left out unless `all` is set, so it may be that nothing matches.
    """
    service = _service(request)
    found = await service.encoder.run(service.library.search, asked.query())
    return _told(service.library, found, response)


@router.post(
    "/search",
    summary="Search by example",
    tags=["search"],
    response_model=schemas.Answer,
    responses=_refusals(400, 401, 408, 413, 415, 422, 503, 504),
    dependencies=[Depends(_only_forms)],
)
async def search_by_example(
    request: Request,
    response: Response,
    asked: Annotated[schemas.AskedWithImage, Form(media_type="multipart/form-data")],
):
    """Find photos like the one uploaded; with a text, both have a say.

    The upload is read, embedded and forgotten.
    """
    _each_once((await request.form()).multi_items())  # read already
    service, image = _service(request), asked.image
    query = asked.query(with_image=image is not None)
    file = image.file if image is not None else None
    found = await service.encoder.run(service.library.search, query, file)
    return _told(service.library, found, response)


@router.get(
    "/similar/{id}",
    summary="More like this",
    tags=["search"],
    response_model=schemas.Answer,
    responses=_refusals(401, 404, 422, 503, 504),
    dependencies=[Depends(_once)],
)
async def similar(
    request: Request,
    response: Response,
    id: _Id,
    asked: Annotated[schemas.Narrowing, Query()],
):
    """Find the photos most like one of the store, itself left out."""
    service = _service(request)
    wanted = schemas.Asked(**asked.model_dump()).query(with_image=True)
    found = await service.encoder.run(service.library.similar, id, wanted)
    return _told(service.library, found, response)


@router.get(
    "/photos/{id}",
    summary="A photo",
    tags=["photos"],
    response_class=Response,
    responses={**_JPEG, **_refusals(401, 404, 410, 422, 503, 504)},
)
async def photo(request: Request, id: _Id, known: _Known = None):
    """Return a photo, upright, its longer side at most 2048 pixels."""
    service = _service(request)
    return _sent(await service.painters.run(service.pictures.view, id, known))


@router.get(
    "/photos/{id}/thumbnail",
    summary="A small picture of a photo",
    tags=["photos"],
    response_class=Response,
    responses={**_JPEG, **_refusals(401, 404, 410, 422, 503, 504)},
)
async def thumbnail(request: Request, id: _Id, known: _Known = None):
    """Return a photo, upright, its longer side at most 320 pixels."""
    service = _service(request)
    return _sent(await service.painters.run(service.pictures.thumbnail, id, known))


def _sent(picture: Picture) -> Response:
    headers = {"ETag": picture.etag, "Cache-Control": "private, max-age=600"}
    if picture.jpeg is None:
        return Response(status_code=304, headers=headers)
    return Response(picture.jpeg, 200, headers, "image/jpeg")


@router.get(
    "/stats",
    summary="What there is to search",
    tags=["facts"],
    response_model=schemas.Stats,
    responses=_refusals(401, 503, 504),
)
async def stats(request: Request, response: Response):
    """Return how many photos there are, which model searches, and the limits."""
    service = _service(request)
    response.headers["Cache-Control"] = "no-store"
    limits = {key: getattr(service.settings, key) for key in schemas.LimitFacts.model_fields}
    facts = await service.painters.run(service.library.stats)
    return {"version": __version__, **facts, "limits": limits}
