"""Ends connections whose clients keep them waiting, so that these stop nobody else."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

from pairlight.serve.problems import LOG, answer
from pairlight.serve.security import HEADERS
from pairlight.serve.settings import Settings

_FULL = answer(
    503,
    "too many connections at once; try again",
    {**HEADERS, "Retry-After": "1", "Connection": "close"},
)


class Connection(H11Protocol):
    """A connection with a clock that runs while it is the client's turn.

    uvicorn's own clock runs after an answer only and stops at the first byte that comes: a client
    that says nothing, half a request line or the rest of a body would keep its place for ever.
    """

    settings: Settings

    def __init__(self, *values, **named):
        super().__init__(*values, **named)
        self.limit_concurrency = None  # `_full` is asked instead: idle connections give way first.
        self._clock: asyncio.TimerHandle | None = None
        self._unsent = 0
        self.since = 0.0  # loop time at which the client's turn began

    @property
    def idle(self) -> bool:
        """Whether no request is at work here and no answer is on its way."""
        return not self._at_work() and not self.transport.get_write_buffer_size()

    def _at_work(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._make_room()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        super().connection_lost(exc)
        self._stop()

    def data_received(self, data: bytes) -> None:
        """Take what has come; it may begin a request."""
        if not self._at_work():
            self._make_room()
            self.app = _FULL if self._full() else self.config.loaded_app
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request, or begin the one that has come already."""
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """Go on sending; the client has read."""
        super().resume_writing()
        self._stop()
        self._watch()

    def _watch(self) -> None:
        """Run the clock exactly while it is the client's turn; bytes that come do not reset it."""
        if self._at_work() and not self.flow.write_paused:
            self._stop()
        elif self._clock is None:
            self.since = self.loop.time()
            self._start()

    def _start(self) -> None:
        self._unsent = self.transport.get_write_buffer_size()
        settings = self.settings
        seconds = settings.read_timeout if self._unsent else settings.head_timeout
        self._clock = self.loop.call_later(seconds, self._late)

    def _stop(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _late(self) -> None:
        self._clock = None
        unsent = self.transport.get_write_buffer_size()
        if not unsent:
            self.transport.close()
        elif unsent < self._unsent:  # slow, but reading
            self._start()
        else:
            self.transport.abort()  # To close would wait until the client has read the rest.

    def _make_room(self) -> None:
        """Where there are too many connections, close the one that has been idle for longest."""
        if len(self.connections) <= self.settings.max_connections:
            return
        others = [each for each in self.connections if isinstance(each, Connection)]
        idle = [each for each in others if each is not self and each.idle]
        if idle:
            longest = min(idle, key=lambda each: each.since)
            self.connections.discard(longest)  # uvicorn does so later; the place is free now.
            longest.transport.close()

    def _full(self) -> bool:
        # Requests whose client has gone take no connection, but still their share of the work.
        most = self.settings.max_connections
        full = len(self.connections) > most or len(self.tasks) >= most
        if full:
            LOG.warning("over %d connections are at work; one is refused", most)
        return full
