"""Reads what a person writes as filters: dates and sizes."""

import re
from datetime import datetime

from pairlight.errors import ConfigError
from pairlight.search.records import INT64, Filters

_DATE = re.compile(r"\d{4}(-\d\d(-\d\d([T ]\d\d:\d\d(:\d\d)?)?)?)?")
_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?)b?", re.IGNORECASE)
_FACTOR = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3}


def read_filters(
    path: str | None = None,
    after: str | None = None,
    before: str | None = None,
    min_size: str | None = None,
    max_size: str | None = None,
    min_width: int | None = None,
    min_height: int | None = None,
) -> Filters:
    """Return the filters that options describe.

    Dates are `2024`, `2024-05`, `2024-05-31` or `2024-05-31 18:20`; sizes `500000`, `500k` or
    `1.5MB`. Raises `ConfigError` for what is neither, and for a range that nothing lies in.
    """
    filters = Filters(
        path=path,
        after=None if after is None else _date("--after", after),
        before=None if before is None else _date("--before", before),
        min_size=None if min_size is None else _bytes("--min-size", min_size),
        max_size=None if max_size is None else _bytes("--max-size", max_size),
        min_width=min_width,
        min_height=min_height,
    )
    if filters.after and filters.before and filters.before <= filters.after:
        raise ConfigError(
            f"--after {after} and --before {before}: no date is both; "
            "--before is the first that is too late"
        )
    if filters.max_size is not None and (filters.min_size or 0) > filters.max_size:
        raise ConfigError(f"--min-size {min_size} and --max-size {max_size}: no size is both")
    return filters


def _date(option: str, text: str) -> str:
    """Return a date as the start of the ISO times that stores hold: they compare as texts."""
    text = text.strip()
    sound = _DATE.fullmatch(text) is not None
    if sound:
        try:
            datetime.fromisoformat(text + "0000-01-01"[len(text) : 10] if len(text) < 10 else text)
        except ValueError:
            sound = False
    if not sound:
        raise ConfigError(f"{option} {text}: not a date; write 2024, 2024-05 or 2024-05-31")
    return text.replace(" ", "T")


def _bytes(option: str, text: str) -> int:
    match = _BYTES.fullmatch(text.strip())
    if not match:
        raise ConfigError(f"{option} {text}: not a size; write it in bytes, or as 500k or 1.5MB")
    return round(min(float(match[1]) * _FACTOR[match[2].lower()], INT64))
