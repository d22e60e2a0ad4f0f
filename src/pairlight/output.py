"""Carries messages, progress bars and JSON results to where the user wants them."""

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pairlight.errors import PairlightError
from pairlight.files import is_stream, make_folder, write_text_atomic

if TYPE_CHECKING:  # rich takes longer to import than a search takes
    from rich.progress import Progress

T = TypeVar("T")
# Lists of numbers stay on one line; text holds no raw newline, so none of it can match.
_NUMBERS = re.compile(r"\[\n[\s\d.,eE+-]+\]")


class Output:
    """Where a command's words go: stdout, or stderr while stdout carries JSON; nowhere if quiet."""

    def __init__(self, quiet: bool = False, json_to: str | None = None):
        self.quiet = quiet
        self.json_to = json_to
        self.stream = sys.stderr if json_to == "-" else sys.stdout
        if json_to not in (None, "-"):
            # Found out before the work, not after hours of it.
            if Path(json_to).is_dir():
                raise PairlightError(f"--json {json_to}: is a folder; name a file")
            if not is_stream(Path(json_to)):
                make_folder(Path(json_to).absolute().parent)

    def say(self, text: str = "") -> None:
        """Print one message."""
        if not self.quiet:
            print(text, file=self.stream, flush=True)

    def json(self, value: object) -> None:
        """Write `value` where --json asked; does nothing when it was not given."""
        if self.json_to is None:
            return
        # What stdout's encoding lacks would be printed as escapes that JSON does not know.
        plain = self.json_to == "-" and (sys.stdout.encoding or "utf-8").lower() != "utf-8"
        text = json.dumps(value, indent=2, ensure_ascii=plain, allow_nan=False)
        text = _NUMBERS.sub(lambda found: "[" + " ".join(found[0][1:-1].split()) + "]", text)
        if self.json_to == "-":
            print(text)
        else:
            write_text_atomic(Path(self.json_to), [text, "\n"])

    def progress(self) -> "Progress":
        """Return a progress bar with ETA; it shows on a terminal only and never when quiet."""
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            # Not `is_terminal`: FORCE_COLOR makes rich take a pipe for a terminal.
            disable=self.quiet or not sys.stderr.isatty(),
            transient=True,
        )

    def track(self, items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
        """Yield `items` behind a progress bar named `what`."""
        if total is None and hasattr(items, "__len__"):
            total = len(items)  # type: ignore[arg-type]
        with self.progress() as bar:
            task = bar.add_task(what, total=total, note="")
            for item in items:
                yield item
                bar.advance(task)
