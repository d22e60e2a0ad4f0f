"""Holds what a server is told: where it listens, who may ask, and how much."""

import ipaddress
import secrets
from dataclasses import dataclass

from pairlight.errors import ConfigError

LEAST_TOKEN = 16


@dataclass(frozen=True)
class Settings:
    """How a server runs; raises `ConfigError` for what would not be safe or makes no sense."""

    host: str = "127.0.0.1"
    """Address to listen at; any but a loopback one demands `token`."""
    port: int = 8000
    """Port to listen at; 0 takes a free one."""
    token: str | None = None
    """Secret that every request has to show; None asks for none."""
    max_upload_mb: float = 20.0
    """Most megabytes (10^6 bytes) of a request's body."""
    timeout: float = 20.0
    """Seconds until an unanswered request is given up."""
    queue: int = 16
    """Searches that may wait while one runs; more are turned away."""
    thumbnails_mb: float = 64.0
    """Megabytes of thumbnails kept in memory."""
    max_connections: int = 128
    """Connections at once; one more takes the place of an idle one, else it is turned away."""
    head_timeout: float = 10.0
    """Seconds that a connection may wait until the head of its next request is whole."""
    read_timeout: float = 30.0
    """Seconds that a client may read nothing of its answer."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"--port {self.port}: not a port; choose from 0 to 65535")
        for option, value in (
            ("--max-upload-mb", self.max_upload_mb),
            ("--timeout", self.timeout),
            ("head_timeout", self.head_timeout),
            ("read_timeout", self.read_timeout),
        ):
            if not 0 < value < float("inf"):
                raise ConfigError(f"{option} {value}: must be a number over zero")
        if self.queue < 0:
            raise ConfigError(f"--queue {self.queue}: must be zero or more")
        if self.token is not None:
            _check_token(self.token)
        elif not self.loopback:
            raise ConfigError(f"--host {self.host}: others can reach it, so a token is needed")

    @classmethod
    def of(cls, host: str, token: str | None = None, **rest) -> "Settings":
        """Return the settings; where others can reach `host` and no token is given, one is made."""
        if token is None and not is_loopback(host):
            token = secrets.token_urlsafe(24)
        return cls(host, token=token, **rest)

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return is_loopback(self.host)

    @property
    def max_upload(self) -> int:
        """Most bytes of a request's body."""
        return int(self.max_upload_mb * 1_000_000)


def is_loopback(host: str) -> bool:
    """Whether `host` names this machine to itself: localhost, 127.0.0.0/8 or ::1."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _check_token(token: str) -> None:
    # It travels in addresses and headers: what would need escaping there is a trap.
    if not token.isascii() or not all(each.isalnum() or each in "-._~" for each in token):
        raise ConfigError("--token: letters, digits and -._~ only")
    if len(token) < LEAST_TOKEN:
        raise ConfigError(f"--token: too short to be safe; use {LEAST_TOKEN} characters or more")
