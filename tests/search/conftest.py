"""A folder of painted pictures, a store of it, and the model that sees colours."""

import pytest
from colours import ColourModel, paint

from pairlight.search.index import index_photos
from pairlight.search.store import open_store


@pytest.fixture
def model():
    return ColourModel()


@pytest.fixture
def photos(tmp_path):
    """Five pictures in two folders."""
    folder = tmp_path / "photos"
    paint(folder / "red.png", "red")
    paint(folder / "green.png", "green")
    paint(folder / "sea" / "blue.png", "blue", size=(96, 64))
    paint(folder / "sea" / "blue_white.png", "blue", "white")
    paint(folder / "sea" / "flag.png", "blue", "white", "red")
    return folder


@pytest.fixture
def index(tmp_path, model):
    """Return a function that indexes folders into one store and returns the report."""

    def run(*folders, model=model, **options):
        with open_store(str(tmp_path / "photos.db"), write=True) as store:
            return index_photos(store, model, [str(each) for each in folders], **options)

    return run


@pytest.fixture
def read(tmp_path):
    """Return a function that calls a method of the store as a reader does."""

    def run(method, *values):
        with open_store(str(tmp_path / "photos.db")) as store:
            return getattr(store, method)(*values)

    return run
