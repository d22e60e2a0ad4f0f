"""Names what a client gets told when a request fails: a status and one clear line as JSON."""

import logging
import re

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

LOG = logging.getLogger("pairlight.serve")
_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z-]*)")


class Problem(Exception):
    """A request that cannot be answered; `text` tells why, without any path of the server."""

    def __init__(self, status: int, text: str, headers: dict[str, str] | None = None):
        super().__init__(text)
        self.status, self.text, self.headers = status, text, headers


def answer(status: int, text: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return the response `{"error": text}`."""
    line = " ".join(text.split())
    return JSONResponse({"error": line}, status, {"Cache-Control": "no-store", **(headers or {})})


def in_api_words(text: str) -> str:
    """Return a message about a command's options as one about the parameters of the same name."""
    return _OPTION.sub(lambda match: match[1].replace("-", "_"), text)


def install(app: FastAPI) -> None:
    """Have `app` answer every failure by `answer`."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _internal)


async def _problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return answer(error.status, error.text, error.headers)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 404:
        return answer(404, "there is nothing at this address; see /docs", headers)
    if error.status_code == 405:
        return answer(405, f"{request.method} is not for this address; see /docs", headers)
    return answer(error.status_code, str(error.detail).lower(), headers)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or "request"
    what = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        what = "there is no such parameter; see /docs"
    if "UploadFile" in what:  # Pydantic speaks of its own types
        what = "a file is expected here, not text; with curl: -F image=@photo.jpg"
    return answer(422, f"{where}: {what[:1].lower()}{what[1:]}")


async def _internal(_: Request, __: Exception) -> JSONResponse:
    # Starlette raises it again after this answer, and `security.Guard` logs it.
    return answer(500, "internal error; the server's log has more")
