"""The search command: a text or a photo to the photos that fit it."""

import sys

import typer

from pairlight.cli.console import JSON, QUIET, Output


def search(
    words: list[str] = typer.Argument(
        None, metavar="[TEXT]", help="What the photos should show, in words."
    ),
    store: str = typer.Option(..., metavar="FILE", help="Store that `pairlight index` made."),
    image: str = typer.Option(None, metavar="FILE", help="Photo to find the like of."),
    without: list[str] = typer.Option(
        None, "--not", metavar="TEXT", help="What they should not show; may be repeated."
    ),
    model: str = typer.Option("pretrained", help="Model that the store was indexed with."),
    k: int = typer.Option(10, "-k", min=1, help="Most hits to show."),
    path: str = typer.Option(None, metavar="GLOB", help="Only photos whose path fits."),
    after: str = typer.Option(None, metavar="DATE", help="Only photos taken then or later."),
    before: str = typer.Option(None, metavar="DATE", help="Only photos taken earlier."),
    min_size: str = typer.Option(None, metavar="BYTES", help="Smallest file, as 500k or 2M."),
    max_size: str = typer.Option(None, metavar="BYTES", help="Largest file."),
    min_width: int = typer.Option(None, min=1, metavar="PIXELS", help="Smallest width."),
    min_height: int = typer.Option(None, min=1, metavar="PIXELS", help="Smallest height."),
    fold: bool = typer.Option(True, help="Show photos that are alike as one."),
    every: bool = typer.Option(False, "--all", help="Show also what is below the cutoff."),
    exact: bool = typer.Option(False, "--exact", help="Rank exactly, even with a FAISS index."),
    gallery: str = typer.Option(None, metavar="FILE", help="Write the hits as one HTML page."),
    quiet: bool = QUIET,
    json_to: str = JSON,
) -> None:
    """Find photos in words, by example, or both.

    A score is a cosine; relevance is the probability that a photo shows what was asked for, where
    the model has a calibration. Hits below its cutoff are left out, so it may be that nothing
    matches. docs/search.md tells how to read both.

    \b
    Examples:
      pairlight search "a dog on the beach" --store photos.db
      pairlight search --image dog.jpg --store photos.db -k 20 --gallery dogs.html
      pairlight search "a beach" --not people --store photos.db --after 2023 --json -
    """
    import pairlight
    from pairlight.search.approximate_file import chooser
    from pairlight.search.filters import read_filters
    from pairlight.search.query import Query
    from pairlight.search.searcher import exactly, open_searcher
    from pairlight.search.show import left_out, more_fit, nothing, print_result, strange
    from pairlight.search.store import open_store

    output = Output(quiet, json_to)
    filters = read_filters(path, after, before, min_size, max_size, min_width, min_height)
    if gallery is not None:
        from pairlight.search.gallery import check_gallery, write_gallery

        check_gallery(gallery)
    text = " ".join(words) if words else None  # unquoted words are one text
    query = Query(text, image, tuple(without or ()), filters, k, fold, not every)
    notes: list[str] = []
    with open_store(store) as opened:
        matcher = exactly if exact else chooser(opened.path, notes.append)
        result = open_searcher(opened, lambda: pairlight.load(model), matcher).search(query)
        files = opened.count()
    about = [result.note, left_out(result), more_fit(result, query), strange(result)]
    if not quiet and json_to != "-":
        print_result(result, output.stream, filters)
        for note in filter(None, [*about, *notes]):
            print(f"note: {note}", file=sys.stderr)
    if gallery is not None:
        said = filter(None, ["" if result.hits else nothing(result, filters), *about])
        write_gallery(gallery, query.words(), list(said), result.hits or result.nearest)
        output.say(f"wrote {gallery}")
    counts = {"files": files, "distinct": result.photos}
    output.json({"store": store, "query": query.to_json(), **counts, **result.to_json()})
