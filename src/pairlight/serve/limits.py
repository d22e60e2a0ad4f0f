"""Bounds what requests may take: bytes, seconds, and places in line for the workers."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pairlight.serve.problems import Problem, answer

R = TypeVar("R")


class Workers:
    """A few threads and a line of bounded length, so that the event loop never blocks.

    Work that is given up while it waits is never begun; what runs is run to its end, and keeps its
    place until then: a flood of requests that time out cannot pile up behind the scenes.
    """

    def __init__(self, name: str, threads: int, waiting: int):
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"pairlight-{name}")
        self._room = threads + waiting
        self._turn = threading.Lock()
        self.held = 0  # running and waiting

    async def run(self, work: Callable[..., R], *values: object) -> R:
        """Return `work(*values)`, done in a worker; 503 (`Problem`) when the line is full."""
        with self._turn:
            if self.held >= self._room:
                raise Problem(503, "too many requests at once; try again", {"Retry-After": "1"})
            self.held += 1
        try:
            future = self._pool.submit(work, *values)
        except RuntimeError:
            self._leave(None)
            raise Problem(503, "the server is stopping", {"Retry-After": "5"}) from None
        future.add_done_callback(self._leave)
        return await asyncio.wrap_future(future)

    def _leave(self, _: Future | None) -> None:
        with self._turn:
            self.held -= 1

    def close(self) -> None:
        """Begin nothing more; what runs ends on its own."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class _TooLarge(Exception):
    pass


class Limits:
    """Refuses bodies over `most` bytes while they stream in, and gives up after `seconds`."""

    def __init__(self, app: ASGIApp, most: int, seconds: float):
        self.app, self.most, self.seconds = app, most, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and answer 413, 408 or 504 where it goes over a limit."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        exchange = _Exchange(receive, send, self.most)
        if _declared(scope) > self.most:
            exchange.too_large = True
        else:
            await self._within(exchange, scope)
        if exchange.started or exchange.refusal() is None:
            return
        status, text = exchange.refusal() or (500, "")
        # The rest of the body is not waited for: the connection ends here.
        await answer(status, text, {"Connection": "close"})(scope, receive, send)

    async def _within(self, exchange: "_Exchange", scope: Scope) -> None:
        try:
            async with asyncio.timeout(self.seconds) as exchange.clock:
                await self.app(scope, exchange.receive, exchange.send)
        except _TooLarge:
            pass
        except TimeoutError:
            if not exchange.clock.expired():
                raise
            exchange.late = True


class _Exchange:
    """One request and its response: counts what comes in and notes what has gone out."""

    def __init__(self, receive: Receive, send: Send, most: int):
        self._receive, self._send, self.most = receive, send, most
        self.clock = asyncio.timeout(None)
        self.read, self.waiting = 0, False
        self.too_large = self.late = self.started = False

    def refusal(self) -> tuple[int, str] | None:
        if self.too_large:
            return 413, f"the upload is over the limit of {self.most / 1e6:g} MB"
        if self.late and self.waiting:
            return 408, "the request did not arrive in time"
        if self.late:
            return 504, "the search took too long; try again"
        return None

    async def receive(self) -> Message:
        self.waiting = True
        message = await self._receive()
        if message["type"] == "http.request":
            self.read += len(message.get("body", b""))
            self.waiting = False
            if self.read > self.most:
                self.too_large = True
                raise _TooLarge
        return message

    async def send(self, message: Message) -> None:
        if self.too_large:
            return  # The application takes what we did for a torn body, and would say so.
        if message["type"] == "http.response.start":
            self.started = True
            self.clock.reschedule(None)  # A slow reader is no fault of ours.
        await self._send(message)


def _declared(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
