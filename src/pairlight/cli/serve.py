"""The serve command: a store behind a web page and a REST interface."""

import sys

import typer

from pairlight.cli.console import JSON, QUIET, Output


def serve(
    store: str = typer.Option(..., metavar="FILE", help="Store that `pairlight index` made."),
    model: str = typer.Option("pretrained", help="Model that the store was indexed with."),
    host: str = typer.Option("127.0.0.1", help="Address to listen at."),
    port: int = typer.Option(8000, help="Port to listen at; 0 takes a free one."),
    token: str = typer.Option(
        None, envvar="PAIRLIGHT_TOKEN", help="Secret that requests must show."
    ),
    max_upload_mb: float = typer.Option(20.0, help="Largest upload."),
    timeout: float = typer.Option(20.0, help="Seconds until a request is given up."),
    queue: int = typer.Option(16, help="Searches that may wait; more are turned away."),
    quiet: bool = QUIET,
    json_to: str = JSON,
) -> None:
    """Serve a store: a page to search with at /, a REST interface under /api/v1.

    Only this machine can reach it, unless --host says otherwise; then every request needs a
    token, which is made and printed unless --token gives one. Photos that are indexed meanwhile
    show up by themselves. Stop it with Ctrl-C. docs/serve.md has the interface.

    \b
    Examples:
      pairlight serve --store photos.db
      pairlight serve --store photos.db --port 0 --json -
      pairlight serve --store photos.db --host 0.0.0.0
    """
    import pairlight
    from pairlight.errors import ConfigError
    from pairlight.search.store import open_store
    from pairlight.serve.app import create_app
    from pairlight.serve.library import Library
    from pairlight.serve.run import address_of, listen
    from pairlight.serve.run import serve as run_server
    from pairlight.serve.settings import Settings, is_loopback

    output = Output(quiet, json_to)
    if quiet and token is None and json_to is None and not is_loopback(host):
        raise ConfigError("--quiet would hide the token that is made; give --token or --json FILE")
    settings = Settings.of(
        host, token, port=port, max_upload_mb=max_upload_mb, timeout=timeout, queue=queue
    )
    with open_store(store) as opened, listen(settings) as listener:
        library = Library(opened, pairlight.load(model))
        library.warm_up()
        app = create_app(library, settings)
        address, photos = address_of(listener, settings), opened.count()
        output.say(f"{photos} photos of {store} at {address} (Ctrl-C stops)")
        output.json({"url": address, "store": store, "photos": photos, "token": settings.token})
        sys.stdout.flush()  # Whoever waits in a pipe for the address gets it now.
        run_server(app, settings, listener)
