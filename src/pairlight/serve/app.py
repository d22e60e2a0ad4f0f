"""Puts the server together: the API, the page and what guards them, as one ASGI application."""

import contextlib
import hashlib
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

from fastapi import Depends, FastAPI, Request, Response
from fastapi.security import APIKeyCookie, HTTPBearer
from starlette.types import ASGIApp

from pairlight import __version__
from pairlight.serve import problems, schemas
from pairlight.serve.library import Library
from pairlight.serve.limits import Limits
from pairlight.serve.routes import Service, router
from pairlight.serve.security import Guard, cookie_name
from pairlight.serve.settings import Settings

STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_ABOUT = """Finds photos in words or by example.

A failed request is answered with `{"error": "one line"}`. Photos are named by id, never by path."""


def create_app(library: Library, settings: Settings) -> ASGIApp:
    """Return the whole application, guarded; the API alone is its innermost part."""
    service = Service.of(library, settings)
    api = _api(service)
    problems.install(api)
    api.include_router(router, dependencies=_schemes(settings))
    _add_pages(api)
    limited = Limits(api, settings.max_upload, settings.timeout)
    return Guard(limited, settings, (STATIC / "login.html").read_bytes())


def _api(service: Service) -> FastAPI:
    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    api = FastAPI(
        title="pairlight",
        version=__version__,
        description=_ABOUT,
        license_info={"name": "MIT"},
        docs_url=None,  # FastAPI's own page fetches scripts from elsewhere.
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    api.state.service = service
    return api


def _schemes(settings: Settings) -> list:
    """Return how requests may show the token; `Guard` checks it, these only put it in the API."""
    if settings.token is None:
        return []
    about = "The token that the server was started with: `Authorization: Bearer TOKEN`."
    schemes: list[HTTPBearer | APIKeyCookie] = [
        HTTPBearer(scheme_name="token", description=about, auto_error=False)
    ]
    if settings.port:  # The cookie has the port in its name, and a free one is not known here.
        about = "What browsers show: opening any address with `?token=TOKEN` once sets it."
        name = cookie_name(settings.port)
        schemes.append(
            APIKeyCookie(name=name, scheme_name="cookie", description=about, auto_error=False)
        )
    return [Depends(each) for each in schemes]


def _add_pages(api: FastAPI) -> None:
    """Serve the files in static/, read once: a request can name these and nothing else."""
    for path in sorted(STATIC.iterdir()):
        if path.suffix in _TYPES:
            _add_page(api, f"/static/{path.name}", path)
    _add_page(api, "/", STATIC / "index.html")
    _add_page(api, "/docs", STATIC / "docs.html")
    api.add_api_route(
        "/healthz",
        _health,
        response_model=schemas.Health,
        summary="A sign of life",
        tags=["facts"],
    )


async def _health() -> dict:
    """Answer as soon as the server runs; no token is needed."""
    return {"status": "ok"}


def _add_page(api: FastAPI, address: str, path: Path) -> None:
    content = path.read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    # Asked for again each time, and answered in a word: an upgrade shows at once.
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    page = partial(_page, content, headers, _TYPES[path.suffix])
    api.add_route(address, page, methods=["GET"], include_in_schema=False)


async def _page(content: bytes, headers: dict[str, str], kind: str, request: Request) -> Response:
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(content, 200, headers, kind)
