"""Shows search results in a terminal as a table, and in a pipe as plain lines."""

from typing import TextIO

from pairlight.search.names import shown
from pairlight.search.query import Query
from pairlight.search.records import Filters, Hit
from pairlight.search.searcher import Result

_MOST = 8  # words of a long text that are named
_ROW = "{:>3}  {:>6}  {:>9}  {:<10}  {:<5}  {}"


def print_result(result: Result, stream: TextIO, filters: Filters) -> None:
    """Print hits to a terminal as a table, elsewhere one a line: tabs between the columns.

    Where nothing matches, the nearest are shown as such; in a pipe each such line begins with
    `nearest`. Names are escaped (see `names.shown`): a file's name can neither forge lines nor
    steer the terminal.
    """
    hits = result.hits or result.nearest
    if not result.hits:
        print(nothing(result, filters), file=stream)
    if not hits:
        return
    if stream.isatty():
        _table(hits, stream)
        return
    mark = () if result.hits else ("nearest",)
    for hit in hits:
        print("\t".join((*mark, *_cells(hit))), file=stream)


def nothing(result: Result, filters: Filters) -> str:
    """Return the line for a search without hits: no photos, none left by filters, none fitting."""
    if result.photos == 0:
        return "the store holds no photos; pairlight index DIR --store FILE puts some in"
    if result.searched == 0:
        dated = filters.after or filters.before
        return "no photo passes the filters" + ("; those without a date never do" if dated else "")
    best = f" (the best has relevance {result.best:.0%})" if result.best is not None else ""
    return f"nothing matches well{best}; the nearest:" if result.nearest else "nothing matches"


def strange(result: Result) -> str:
    """Return the line about words that the model does not know; empty if there are none."""
    words = [*map(shown, result.unknown[:_MOST]), *["…"] * (len(result.unknown) > _MOST)]
    return f"the model has hardly met in training: {', '.join(words)}" if words else ""


def left_out(result: Result) -> str:
    """Return the line about hits below the cutoff, where others are above it; else nothing."""
    if not (result.hits and result.left_out and result.cutoff is not None):
        return ""
    ranked = len(result.hits) + result.left_out
    return (
        f"{result.left_out} of the first {ranked} are left out, with a relevance below "
        f"{result.cutoff:.0%}; --all shows them"
    )


def more_fit(result: Result, query: Query) -> str:
    """Return the line about photos that fit and are not shown, as there are `k` hits; else nothing.

    How many fit is known of all photos, not of those that pass a filter.
    """
    shown_now = len(result.hits)
    if result.cutoff is None or not query.k <= shown_now < result.searched:
        return ""
    if not query.filters and (result.fitting or 0) > shown_now:
        return f"at least {result.fitting} photos fit; a larger -k shows more of them"
    return "more may fit; a larger -k shows them"


def _cells(hit: Hit) -> tuple[str, str, str, str, str]:
    relevance = "-" if hit.relevance is None else f"{hit.relevance:.0%}"
    more = f"+{len(hit.duplicates)}" if hit.duplicates else ""
    return f"{hit.score:.3f}", relevance, (hit.photo.taken or "-")[:10], more, shown(hit.photo.path)


def _table(hits: list[Hit], stream: TextIO) -> None:
    # A path comes last and is never broken: the terminal wraps it, and it is copied whole.
    rows = [("", "score", "relevance", "taken", "alike", "photo")]
    rows += [(str(place), *_cells(hit)) for place, hit in enumerate(hits, 1)]
    for row in rows:
        print(_ROW.format(*row), file=stream)
