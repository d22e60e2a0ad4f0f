"""Several looks at a photo: what is looked at, what comes of it, and what stays the model's."""

import numpy as np
import pytest

import pairlight
from pairlight.errors import ConfigError
from pairlight.runtime.looks import Looks, middle, several_looks
from pairlight.sample import sample_dir

PHOTOS = sorted((sample_dir() / "images").glob("*.jpg"))[:9]


class Corner:
    """Embeds a photo as the colour of its top left corner, at unit length."""

    name, sha256, embed_dim, image_size, calibration = "corner", "0" * 64, 3, 40, {"a": 1}

    def encode_pixels(self, pixels):
        rows = pixels[:, 0, 0].astype(np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def encode_texts(self, texts):
        return np.eye(3, dtype=np.float32)[: len(texts)]


def framed():
    """A photo with a red frame that is green inside, its right edge blue, as (1, 40, 40, 3)."""
    photo = np.zeros((1, 40, 40, 3), np.uint8)
    photo[..., 0] = 200
    photo[:, 1:-1, 1:-1] = (0, 200, 0)
    photo[:, :, -1:] = (0, 0, 200)
    return photo


@pytest.mark.parametrize(("looks", "seen"), [(1, [1, 0, 0]), (2, [1, 1, 0]), (3, [1, 1, 1])])
def test_the_whole_photo_its_middle_and_its_mirror_image(looks, seen):
    model = several_looks(Corner(), looks)
    both = np.concatenate([framed(), framed()[:, :, ::-1]])
    found = model.encode_pixels(both)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], np.array(seen) / np.sqrt(sum(seen)), atol=1e-6)
    if looks == 3:  # the order of looks does not matter
        np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    assert model.encode_pixels(framed()[:0]).shape == (0, 3)


def test_the_middle_is_enlarged():
    (found,) = middle(framed())
    assert found.shape == (40, 40, 3) and found.dtype == np.uint8
    assert (np.abs(found.astype(int) - (0, 200, 0)) <= 1).all()


def test_all_else_is_the_models_own():
    model = Corner()
    assert several_looks(model, 1) is model
    twice = several_looks(model, 2)
    assert (twice.name, twice.sha256, twice.embed_dim) == ("corner", "0" * 64, 3)
    assert twice.calibration == {"a": 1} and not hasattr(twice, "word_vectors")
    np.testing.assert_array_equal(twice.encode_texts(["a"]), model.encode_texts(["a"]))


@pytest.mark.parametrize("looks", [0, 4])
def test_other_numbers_are_refused(looks):
    with pytest.raises(ConfigError, match="from 1 to 3"):
        several_looks(Corner(), looks)


@pytest.mark.parametrize("kind", ["exported", "tiny_checkpoint"])
def test_loaded_models_look_as_often_as_asked(kind, request):
    path = str(request.getfixturevalue(kind))
    once, thrice = (pairlight.load(path, device="cpu", looks=count) for count in (1, 3))
    assert isinstance(thrice, Looks) and thrice.parameters == once.parameters
    found = thrice.encode_images(PHOTOS)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    near = (found * once.encode_images(PHOTOS)).sum(axis=1)
    assert (near < 1 - 1e-6).any() and near.min() > 0.5
    assert thrice.encode_images([]).shape == (0, thrice.embed_dim)
