"""The bundled sample as a toy model sees it, hostile captions and all, and its report."""

import dataclasses

import pytest
from toys import HOSTILE, NAME, Toy, embedded

from pairlight.data.manifest import read_manifest
from pairlight.plots.study import make_study
from pairlight.report.make import Source, write_report


@pytest.fixture(scope="session")
def toy():
    return Toy()


@pytest.fixture(scope="session")
def sample_photos(sample_manifest):
    """The sample's 35 photos; two have names and captions that mean harm."""
    photos = read_manifest(sample_manifest)
    photos[0] = dataclasses.replace(photos[0], image_id=NAME, captions=HOSTILE)
    return photos


def write(toy, folder, embeddings, queries=("a dog <b>",), seed=0, history=(), words="none"):
    study = make_study(toy, embeddings, queries, 3, seed)
    source = Source("dir/best <&> model.pth", "val", "m.jsonl", history, words)
    path = folder / "report.html"
    return path, write_report(toy, study, source, path)


@pytest.fixture
def report_of(tmp_path, toy):
    """Return a function that writes the report of some embeddings and returns its path."""

    def run(embeddings, **settings):
        path, run.notes = write(toy, tmp_path, embeddings, **settings)
        return path

    return run


@pytest.fixture(scope="session")
def sample_embeddings(sample_photos, toy):
    return embedded(sample_photos, toy)


@pytest.fixture(scope="session")
def sample_report(tmp_path_factory, sample_embeddings, toy):
    """The report of the sample, for tests that only look at it."""
    return write(toy, tmp_path_factory.mktemp("report"), sample_embeddings)[0]
