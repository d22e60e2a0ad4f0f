"""Filters of a search: what passes, what cannot be read, and that they come before ranking."""

from pathlib import Path

import pytest
from colours import names, paint
from PIL import Image

from pairlight.errors import ConfigError
from pairlight.search.filters import read_filters
from pairlight.search.query import Query
from pairlight.search.records import Filters
from pairlight.search.searcher import Searcher
from pairlight.search.store import open_store


def exif(date):
    data = Image.Exif()
    data.get_ifd(0x8769)[0x9003] = date
    return data.tobytes()


@pytest.fixture
def dated(index, tmp_path, model):
    folder = tmp_path / "photos"
    for year in (2019, 2020, 2021):
        paint(folder / str(year) / "a.jpg", "red", seed=year, format="JPEG", quality=95,
              exif=exif(f"{year}:06:15 12:00:00"), size=(48 + year - 2019, 32))  # fmt: skip
    paint(folder / "undated.png", "red", size=(200, 100))
    index(folder)
    with open_store(str(tmp_path / "photos.db")) as store:
        yield Searcher(store, model)


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        ({}, {"2019/a.jpg", "2020/a.jpg", "2021/a.jpg", "undated.png"}),
        ({"after": "2020"}, {"2020/a.jpg", "2021/a.jpg"}),
        ({"before": "2020"}, {"2019/a.jpg"}),
        ({"after": "2020-06-15", "before": "2020-06-16"}, {"2020/a.jpg"}),
        ({"after": "2020-06-15 12:00", "before": "2020-07"}, {"2020/a.jpg"}),
        ({"after": "2020-06-15T12:01"}, {"2021/a.jpg"}),
        ({"before": "2020-06-15"}, {"2019/a.jpg"}),
        ({"before": "2020-06-15T12:00:00"}, {"2019/a.jpg"}),
        ({"after": "2020-06-15T12:00:00", "before": "2021"}, {"2020/a.jpg"}),
        ({"path": "2019/*"}, {"2019/a.jpg"}),
        ({"path": "*.png"}, {"undated.png"}),
        ({"path": "*/20[12]?/a.jpg"}, {"2019/a.jpg", "2020/a.jpg", "2021/a.jpg"}),
        ({"path": "nowhere/*"}, set()),
        ({"min_width": 50}, {"2021/a.jpg", "undated.png"}),
        ({"min_height": 33}, {"undated.png"}),
        ({"min_width": 50, "after": "2021"}, {"2021/a.jpg"}),
        ({"min_size": "1G"}, set()),
        ({"min_size": "9" * 400 + "G"}, set()),
        ({"min_width": 10**20}, set()),
        ({"max_size": "1kb", "path": "*.jpg", "min_size": "0"},
         {"2019/a.jpg", "2020/a.jpg", "2021/a.jpg"}),
    ],
)  # fmt: skip
def test_filters(dated, filters, left):
    result = dated.search(Query("red", filters=read_filters(**filters), fold=False))
    found = {
        "/".join(Path(hit.photo.path).parts[-2:]).removeprefix("photos/") for hit in result.hits
    }
    assert found == left
    assert result.searched == len(left) and result.photos == 4


def test_filters_come_before_ranking(index, tmp_path, model):
    folder = tmp_path / "photos"
    for number in range(50):
        paint(folder / f"red{number}.png", "red", seed=number + 1)
    paint(folder / "sub" / "green.png", "green")
    index(folder)
    with open_store(str(tmp_path / "photos.db")) as store:
        result = Searcher(store, model).search(Query("red", k=3, filters=Filters(path="sub/*")))
    assert names(result) == ["green.png"]


@pytest.mark.parametrize(
    "options",
    [{"after": "yesterday"}, {"before": "2020-13"}, {"after": "2020-02-30"}, {"after": ""}]
    + [{"min_size": "big"}, {"max_size": "-1"}, {"after": "2020-1-1"}, {"before": "20200101"}],
)
def test_filters_that_cannot_be_read(options):
    with pytest.raises(ConfigError, match="--" + next(iter(options)).replace("_", "-")):
        read_filters(**options)


def test_sizes():
    assert read_filters(min_size="20k", max_size="1.5MB") == Filters(
        min_size=20000, max_size=1500000
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"after": "2021", "before": "2020"}, "--after 2021 and --before 2020: no date is both"),
        ({"after": "2020-05-31", "before": "2020-05-31"}, "--before is the first that is too late"),
        ({"after": "2020-05", "before": "2020"}, "no date is both"),
        ({"min_size": "2M", "max_size": "500k"}, "--min-size 2M and --max-size 500k: no size"),
    ],
)
def test_a_range_that_nothing_lies_in_is_refused(options, told):
    with pytest.raises(ConfigError, match=told):
        read_filters(**options)


@pytest.mark.parametrize(
    "options",
    [{"after": "2020", "before": "2020-01"}, {"after": "2020", "before": "2021"}]
    + [{"min_size": "1k", "max_size": "1k"}, {"max_size": "0"}],
)
def test_narrow_ranges_are_ranges(options):
    assert read_filters(**options)
