"""A server over painted pictures and the model that sees colours: in process, or on a port."""

import contextlib
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "search"))
from colours import ColourModel  # noqa: E402

pytest.importorskip("fastapi")
from serving import CALIBRATION, HeldModel, on_a_port, paint_all  # noqa: E402
from starlette.testclient import TestClient  # noqa: E402

from pairlight.search.index import index_photos  # noqa: E402
from pairlight.search.store import open_store  # noqa: E402
from pairlight.serve.app import create_app  # noqa: E402
from pairlight.serve.library import Library  # noqa: E402
from pairlight.serve.settings import Settings  # noqa: E402


@pytest.fixture
def model():
    model = HeldModel()
    model.calibration = CALIBRATION
    yield model
    model.free.set()


@pytest.fixture
def photos(tmp_path):
    """Four pictures in two folders."""
    return paint_all(tmp_path / "secret" / "photos")


@pytest.fixture
def index(tmp_path, photos):
    """Return a function that brings the store up to date."""

    def run(*folders, model=None):
        with open_store(str(tmp_path / "secret" / "photos.db"), write=True) as store:
            chosen = [str(each) for each in folders] or [str(photos)]
            return index_photos(store, model or ColourModel(), chosen, rebuild=model is not None)

    return run


@pytest.fixture
def library(tmp_path, index, model):
    index()
    with open_store(str(tmp_path / "secret" / "photos.db")) as store:
        yield Library(store, model)


@pytest.fixture
def serve(library):
    """Return a function that gives a client of a server with these settings."""
    clients = []

    def run(base="http://127.0.0.1:8000", **settings):
        app = create_app(library, Settings(**settings))
        client = TestClient(app, base_url=base)
        client.__enter__()
        clients.append(client)
        return client

    yield run
    library.model.free.set()
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def client(serve):
    return serve()


@pytest.fixture(scope="session")
def steady_library(tmp_path_factory):
    """A library for all tests that change nothing."""
    folder = paint_all(tmp_path_factory.mktemp("serve") / "secret" / "photos")
    store, model = str(folder.parent / "photos.db"), ColourModel()
    model.calibration = CALIBRATION
    with open_store(store, write=True) as opened:
        index_photos(opened, model, [str(folder)])
    with open_store(store) as opened:
        yield Library(opened, model)


@pytest.fixture(scope="session")
def steady(steady_library):
    """A client of one server for all tests that change nothing."""
    app = create_app(steady_library, Settings())
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        yield client


@pytest.fixture
def ids(library):
    """Names of the photos -> their ids."""
    return {Path(each.path).name: each.id for each in library.store.known()}


@pytest.fixture
def live(library):
    """Return a function that serves on a free port and gives the address."""
    with contextlib.ExitStack() as running:

        def run(**settings):
            chosen = Settings(port=0, **settings)
            return running.enter_context(on_a_port(create_app(library, chosen), chosen))

        yield run
        library.model.free.set()


@pytest.fixture
def visit(browser, live):
    """Return a function that opens the page; whatever the browser complains of fails the test."""
    complaints, opened = [], []

    def run(address=None, **settings):
        address = address or live()
        context = browser.new_context(**{"locale": "en-US", **settings})
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda line: line.type in ("error", "warning")
                and complaints.append(f"{line.type}: {line.text}"))  # fmt: skip
        home = "/".join(address.split("/")[:3]) + "/"
        page.on("request", lambda request: request.url.startswith((home, "blob:" + home))
                or complaints.append(f"outside: {request.url}"))  # fmt: skip
        page.goto(address)
        opened.append(context)
        return page

    run.complaints = complaints
    yield run
    for context in opened:
        context.close()
    assert complaints == []
