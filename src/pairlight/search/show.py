"""Shows search results in a terminal as a table, and in a pipe as plain lines."""

from typing import TextIO

from pairlight.search.names import shown
from pairlight.search.records import Hit
from pairlight.search.searcher import Result


def print_result(result: Result, stream: TextIO) -> None:
    """Print hits to a terminal as a table, elsewhere one a line: tabs between the columns.

    Names are escaped (see `names.shown`): a file's name can neither forge lines nor steer the
    terminal.
    """
    if not result.hits:
        print(nothing(result), file=stream)
    elif stream.isatty():
        _table(result.hits, stream)
    else:
        for hit in result.hits:
            print("\t".join(_cells(hit)), file=stream)


def nothing(result: Result) -> str:
    """Return the line for a search without hits: no photos, none left by filters, none fitting."""
    if result.photos == 0:
        return "the store holds no photos"
    if result.searched == 0:
        return "no photo passes the filters"
    best = f" (the best has relevance {result.best:.0%})" if result.best is not None else ""
    return f"nothing matches{best}; --all shows the nearest"


def _cells(hit: Hit) -> tuple[str, str, str, str, str]:
    relevance = "-" if hit.relevance is None else f"{hit.relevance:.0%}"
    more = f"+{len(hit.duplicates)}" if hit.duplicates else ""
    return f"{hit.score:.3f}", relevance, (hit.photo.taken or "-")[:10], more, shown(hit.photo.path)


def _table(hits: list[Hit], stream: TextIO) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for name in ("", "score", "relevance"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("taken", no_wrap=True)
    table.add_column("alike", no_wrap=True)
    table.add_column("photo", overflow="fold")
    for place, hit in enumerate(hits, 1):
        # Text, not str: square brackets in a name are no markup.
        table.add_row(str(place), *map(Text, _cells(hit)))
    Console(file=stream).print(table)
