"""Listens and serves until stopped."""

import signal
import socket
import sys
from typing import NoReturn

import uvicorn
from starlette.types import ASGIApp

from pairlight.errors import ConfigError
from pairlight.serve.connections import Connection
from pairlight.serve.settings import Settings

# Taken from the line at once, before the first is counted: more would use up the open files.
_BACKLOG = 128
_GRACE = 5  # seconds that running requests get once the server is told to stop


def listen(settings: Settings) -> socket.socket:
    """Return a socket that listens where `settings` say; raises `ConfigError` where none can."""
    host = settings.host.strip("[]")
    where = f"--host {settings.host} --port {settings.port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:  # The latter where a label is empty or too long.
        why = getattr(error, "strerror", None) or "not a host name"
        raise ConfigError(f"{where}: no such address here ({why})") from None
    try:
        if sys.platform != "win32":  # There it would let two programs listen at one port.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(f"{where}: {error.strerror}; choose another --port, or 0") from None
    return listener


def address_of(listener: socket.socket, settings: Settings) -> str:
    """Return the address to open in a browser, with the token where there is one."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    elif ":" in host:
        host = f"[{host}]"
    token = f"?token={settings.token}" if settings.token else ""
    return f"http://{host}:{port}/{token}"


def serve(app: ASGIApp, settings: Settings, listener: socket.socket) -> None:
    """Serve `app` on `listener` until Ctrl-C or SIGTERM, which becomes a `SystemExit`.

    Runs in the main thread only.
    """
    # uvicorn raises the signal anew when it has stopped. That would end the process on the spot,
    # with the store still open.
    before = signal.signal(signal.SIGTERM, _end)
    try:
        server_of(app, settings).run(sockets=[listener])
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)


def server_of(app: ASGIApp, settings: Settings) -> uvicorn.Server:
    """Return a uvicorn server for `app`, ready to run on a socket."""

    class Bounded(Connection):
        """A connection of this server; uvicorn hands its protocols no values of ours."""

    Bounded.settings = settings
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,  # Queries are nobody's business, and `?token=` must not be kept.
            server_header=False,
            proxy_headers=False,
            http=Bounded,  # h11 is always there with uvicorn, httptools only by chance.
            ws="none",
            backlog=_BACKLOG,
            timeout_graceful_shutdown=_GRACE,
        )
    )
