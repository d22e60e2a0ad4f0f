"""Guards the door: host names, other sites' pages, tokens, and headers that tell browsers so."""

import hashlib
import hmac
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pairlight.serve.problems import LOG, answer
from pairlight.serve.settings import Settings, is_loopback

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    # Pages of other sites can then neither embed a photo nor learn whether it is there.
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_RAW_HEADERS = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
# What needs no token: it is the same for everyone and tells nothing of the photos.
_OPEN = ("/healthz", "/static/")


class Guard:
    """Lets requests through that come from where they should; the outermost layer.

    `login` is the page shown to a browser that has no token yet.
    """

    def __init__(self, app: ASGIApp, settings: Settings, login: bytes):
        self.app, self.settings, self.login = app, settings, login

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on or refuse it; every answer gets `HEADERS`."""
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started, cookie = False, None

        async def dressed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                extra = _RAW_HEADERS + ([(b"set-cookie", cookie.encode())] if cookie else [])
                message = {**message, "headers": [*message.get("headers", []), *extra]}
            await send(message)

        headers = Headers(scope=scope)
        refusal = self._misplaced(scope, headers)
        if refusal is None and self.settings.token is not None:
            scope, cookie = self._signed_in(scope)
            refusal = None if cookie else self._stranger(scope, headers)
        try:
            await (refusal or self.app)(scope, receive, dressed)
        except Exception:
            LOG.exception("a request failed")
            if not started:
                text = "internal error; the server's log has more"
                await answer(500, text)(scope, receive, dressed)

    def _misplaced(self, scope: Scope, headers: Headers) -> Response | None:
        """Refuse requests that a page of another site has made a browser send."""
        hosts = headers.getlist("host")
        # A name of the attacker's that is made to point here (DNS rebinding) stays in the header.
        if self.settings.loopback and (len(hosts) != 1 or not is_loopback(_without_port(hosts[0]))):
            text = "this server answers to localhost only; open it by that name"
            return answer(421, text)
        foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        opened = headers.get("sec-fetch-mode") == "navigate" and scope["method"] == "GET"
        if foreign and not opened:
            return answer(403, "pages of other sites may not use this server")
        return None

    def _signed_in(self, scope: Scope) -> tuple[Scope, str | None]:
        """Return the scope without `?token=`, and the cookie to set where that was right."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = [value for name, value in query if name == "token"]
        if not given or scope["method"] != "GET":
            return scope, None
        rest = urlencode([pair for pair in query if pair[0] != "token"])
        scope = {**scope, "query_string": rest.encode("ascii")}
        if len(given) > 1 or not self._right(given[0]):
            return scope, None
        cookie = f"{self._cookie_name(scope)}={self._proof()}; Path=/; HttpOnly; SameSite=Strict"
        return scope, cookie + ("; Secure" if scope.get("scheme") == "https" else "")

    def _stranger(self, scope: Scope, headers: Headers) -> Response | None:
        """Refuse requests without the token, in the way that who asks can read."""
        if scope["path"].startswith(_OPEN):
            return None
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self._right(given.strip()):
            return None
        name = self._cookie_name(scope)
        for line in headers.getlist("cookie"):
            for part in line.split(";"):
                key, _, value = part.strip().partition("=")
                if key == name and _equal(value, self._proof()):
                    return None
        if "text/html" in headers.get("accept", "") and not scope["path"].startswith("/api/"):
            return HTMLResponse(self.login, 401, {"Cache-Control": "no-store"})
        text = "a token is needed: Authorization: Bearer TOKEN"
        return answer(401, text, {"WWW-Authenticate": "Bearer"})

    def _right(self, given: str) -> bool:
        return _equal(given, self.settings.token or "")

    def _proof(self) -> str:
        # A cookie that is read off a disk does not give the token away.
        return hashlib.sha256(
            b"pairlight cookie " + (self.settings.token or "").encode()
        ).hexdigest()

    def _cookie_name(self, scope: Scope) -> str:
        server = scope.get("server") or ("", self.settings.port)
        return cookie_name(server[1] or 0)


def cookie_name(port: int) -> str:
    """Return the name of the cookie that a server at `port` sets."""
    # Cookies know no ports: two servers on one machine would sign each other out.
    return f"pairlight_{port}"


def _equal(one: str, other: str) -> bool:
    """Compare in constant time; what is no ASCII is compared as its bytes."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def _without_port(host: str) -> str:
    host = host.strip()
    if host.startswith("["):
        return host[: host.find("]") + 1]
    return host.rsplit(":", 1)[0] if host.count(":") == 1 else host
