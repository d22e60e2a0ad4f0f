"""Checks how names in captions find their files, and that none is guessed."""

import pytest

from pairlight.data.locate import ABSENT, AMBIGUOUS, OUTSIDE, ImageFolder
from pairlight.errors import DataError


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "images"
    for name in ("a.jpg", "B.JPG", "deep/c.png", "x/1.jpg", "y/1.jpg", "d.jpg", "d.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    for name in ("notes.txt", ".hidden.jpg", "._a.jpg"):
        (root / name).touch()
    (tmp_path / "secret.jpg").touch()
    return ImageFolder(root)


def test_files_are_images_only_and_sorted(folder):
    assert folder.files == ["B.JPG", "a.jpg", "d.jpg", "d.png", "deep/c.png", "x/1.jpg", "y/1.jpg"]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("a.jpg", "a.jpg"),
        ("./a.jpg", "a.jpg"),
        ("a.JPG", "a.jpg"),
        ("B.jpg", "B.JPG"),
        ("c.png", "deep/c.png"),
        ("val2014/deep/c.png", "deep/c.png"),
        ("deep\\c.png", "deep/c.png"),
        ("elsewhere/x/1.jpg", "x/1.jpg"),
        ("x/1", "x/1.jpg"),
        ("a", "a.jpg"),
        ("d.png", "d.png"),
    ],
)
def test_found(folder, name, file):
    assert folder.find(name)[0] == file


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no.jpg", ABSENT),
        ("a.png", ABSENT),
        ("a.jpg.1", ABSENT),
        ("A.jpg", ABSENT),
        ("1.jpg", AMBIGUOUS),
        ("z/1.jpg", AMBIGUOUS),
        ("d", AMBIGUOUS),
        ("../secret.jpg", OUTSIDE),
        ("x/../../secret.jpg", OUTSIDE),
        ("..\\secret.jpg", OUTSIDE),
        ("/etc/passwd.jpg", OUTSIDE),
    ],
)
def test_not_found(folder, name, why):
    assert folder.find(name) == (None, why)


def test_absolute_names_inside(folder):
    assert folder.find(str(folder.root / "x" / "1.jpg"))[0] == "x/1.jpg"


def test_two_names_never_share_a_file(folder):
    """Captions of p/c.png and q/c.png are not both those of the one c.png there is."""
    found, lost = folder.resolve(["p/c.png", "q/c.png", "a.jpg"])
    assert found == {"a.jpg": "a.jpg"}
    assert lost == {"p/c.png": AMBIGUOUS, "q/c.png": AMBIGUOUS}
    found, lost = folder.resolve(["p/c.png", "deep/c.png"])
    assert found == {"deep/c.png": "deep/c.png"} and lost == {"p/c.png": AMBIGUOUS}


def test_missing_and_empty_folders(tmp_path):
    with pytest.raises(DataError, match="images folder not found"):
        ImageFolder(tmp_path / "no")
    with pytest.raises(DataError, match="no image files here"):
        ImageFolder(tmp_path)
