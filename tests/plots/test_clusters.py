"""Tests the groups of images and captions, and their names."""

import numpy as np

from pairlight.plots.clusters import cluster, group_count, name_groups, words_of


def two_kinds(each=40, gap=1.0):
    """Dogs and boats, with a gap between images and captions far wider than between the kinds."""
    rng = np.random.default_rng(0)
    kind = np.arange(each) % 2
    centres = np.zeros((2, 8))
    centres[0, 0] = centres[1, 1] = 1
    images = centres[kind] + 0.05 * rng.normal(size=(each, 8))
    texts = centres[kind] + 0.05 * rng.normal(size=(each, 8))
    images[:, 7] += gap
    texts[:, 7] -= gap
    captions = ["a dog runs in the grass" if k == 0 else "a boat on the blue water" for k in kind]
    unit = [a / np.linalg.norm(a, axis=1, keepdims=True) for a in (images, texts)]
    return *unit, np.arange(each), captions, kind


def test_what_is_shown_parts_the_groups_and_not_the_gap(monkeypatch):
    monkeypatch.setattr("pairlight.plots.clusters.MOST", 2)
    images, texts, owner, captions, kind = two_kinds(gap=3.0)
    found = cluster(images, texts, owner, captions)
    assert found.together == 1.0
    assert len(set(zip(found.images, kind, strict=True))) == 2
    first = found.images[0]
    assert "dog" in found.names[first] and "boat" in found.names[1 - first]


def test_a_caption_in_the_wrong_place_falls_into_another_group(monkeypatch):
    monkeypatch.setattr("pairlight.plots.clusters.MOST", 2)
    images, texts, owner, captions, _ = two_kinds()
    texts[[0, 1]] = texts[[1, 0]]
    found = cluster(images, texts, owner, captions)
    assert found.together == 38 / 40
    assert found.texts[0] != found.images[0]


def test_the_seed_decides_and_the_largest_group_comes_first():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(60, 8))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    one, same = (cluster(points[:30], points[30:], np.arange(30), ["x"] * 30, 3) for _ in "ab")
    assert (one.images == same.images).all() and one.names == same.names
    sizes = np.bincount(np.concatenate([one.images, one.texts]))
    assert list(sizes) == sorted(sizes, reverse=True)


def test_counts_of_groups():
    assert [group_count(n, 10**6) for n in (1, 2, 8, 32, 1000)] == [1, 1, 2, 4, 8]
    assert group_count(1000, 1) == 1  # all points alike


def test_names_tell_groups_apart():
    dogs = ["a dog runs", "two dogs run", "a brown dog"]
    boats = ["a boat on water", "boats in the harbour", "a boat"]
    names = name_groups([dogs, boats, []])
    assert names[0].startswith("dog") and "boat" in names[1]
    assert "dogs" not in names[0]  # the plural adds nothing
    assert names[2] == "group 3"
    assert len(set(name_groups([["a dog"], ["a dog"]]))) == 2


def test_words_of_any_script():
    assert words_of("A man's DOG, and 2 cats!") == ["man", "dog", "cats"]
    assert words_of("一只狗") == ["一只", "只狗"]
    assert words_of("") == words_of("🐕 123 !?") == []
