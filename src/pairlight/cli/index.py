"""The index command: photo folders to a store that can be searched."""

import time
from pathlib import Path

import typer

from pairlight.cli.console import JSON, QUIET, Output


def index(
    folders: list[str] = typer.Argument(
        None, metavar="DIR...", help="Folders of photos, searched in depth [default: the store's]."
    ),
    store: str = typer.Option(..., metavar="FILE", help="Store to make or to bring up to date."),
    model: str = typer.Option("pretrained", help="Model: pretrained, or where one is."),
    exclude: list[str] = typer.Option(
        None, metavar="GLOB", help="Files or folders to leave out; may be repeated."
    ),
    rebuild: bool = typer.Option(False, "--rebuild", help="Embed every photo again."),
    prune: bool = typer.Option(False, "--prune", help="Drop photos of folders that are missing."),
    looks: int = typer.Option(
        None,
        min=1,
        max=3,
        help="Looks at each photo: 2 add its middle, 3 its mirror image; they find more, in as "
        "many times the time [default: the store's, else 1].",
    ),
    faiss: bool = typer.Option(
        None,
        "--faiss/--no-faiss",
        help="Build a FAISS index, too [default: from a million photos on, if faiss is installed].",
    ),
    threads: int = typer.Option(
        None, min=1, help="Threads that read photos [default: one a processor]."
    ),
    quiet: bool = QUIET,
    json_to: str = JSON,
) -> None:
    """Index folders of photos, so that `pairlight search` finds photos in words or by example.

    Run it again at any time: only new and changed photos are embedded, moved ones are recognised,
    deleted ones dropped. Interrupt it at any time: what was stored stays, and the same command
    goes on. Hidden files are passed over, links to folders are not followed.

    \b
    Examples:
      pairlight index Photos --store photos.db
      pairlight index Photos /mnt/disk/camera --store photos.db --exclude '*.gif' --exclude raw
      pairlight index --store photos.db
      pairlight index Photos --store photos.db --looks 3
    """
    import pairlight
    from pairlight.search.approximate_file import require_faiss, update
    from pairlight.search.index import index_photos
    from pairlight.search.plan import sort_folders
    from pairlight.search.store import open_store

    output = Output(quiet, json_to)
    if not Path(store).exists():
        sort_folders(folders or (), ())  # a typing mistake must not leave an empty store behind
    if faiss:
        require_faiss()
    loaded = pairlight.load(model)
    start = time.perf_counter()
    with open_store(store, write=True) as opened, output.progress() as bar:
        task = bar.add_task("photos", total=None, note="")

        def tell(done: int, total: int) -> None:
            speed = done / max(time.perf_counter() - start, 1e-9)
            bar.update(task, completed=done, total=total, note=f"{speed:.1f} files/s")

        try:
            report = index_photos(
                opened, loaded, folders or (), exclude or (), rebuild, prune, tell, threads, looks
            )
            built, line = update(opened, loaded, faiss)
        except KeyboardInterrupt:
            output.say(f"{opened.count()} photos are in {store}; the same command goes on")
            raise
    for each in [*report.lines(), *([line] if line else [])]:
        output.say(each)
    seconds = time.perf_counter() - start
    output.json({"store": store, **report.to_json(), "faiss": built, "seconds": seconds})
