"""Tests the commands that draw pictures and that walk through the bundled sample."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from pairlight.cli.demo import summary, write_recipe
from pairlight.cli.main import app, run
from pairlight.data.manifest import read_manifest, write_manifest
from pairlight.errors import ConfigError, DataError
from pairlight.plots.pictures import draw_pictures, file_name
from pairlight.plots.study import make_study
from pairlight.recipes import load_recipe
from pairlight.sample import sample_dir
from pairlight.types import Embeddings


class Words:
    """A text encoder that knows nothing: each text gets a direction of its own."""

    def encode_texts(self, texts):
        """Return (n, 8) float32 of unit length, drawn by the text itself."""
        rows = [np.random.default_rng(list(t.encode())).normal(size=8) for t in texts]
        return np.float32([row / np.linalg.norm(row) for row in rows]).reshape(-1, 8)


def embeddings_of(photos):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(len(photos), 8)).astype(np.float32)
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    captions = tuple(text for photo in photos for text in photo.captions)
    owner = np.repeat(np.arange(len(photos)), [len(photo.captions) for photo in photos])
    paths = tuple(photo.image for photo in photos)
    ids = tuple(photo.image_id for photo in photos)
    return Embeddings(images, Words().encode_texts(captions), owner, ids, captions, paths)


def draw(embeddings, out, queries, top=5):
    return draw_pictures(make_study(Words(), embeddings, queries, top), out, top)  # type: ignore[arg-type]


# Every picture but the search results, in the order they are drawn.
BEFORE = ["tsne.png", "similarity_matrix.png", "captions.png"]
AFTER = ["histograms.png", "failures_i2t.png", "failures_t2i.png"]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("a dog running on the beach", "a_dog_running_on_the_beach"),
        ("../../etc/passwd", "etcpasswd"),
        ('what? "a:b*c" <d>|\\', "what_abc_d"),
        ("一只狗 在海边", "一只狗_在海边"),
        ("cafe\u0301 à Zoë", "café_à_Zoë"),
        ("  tabs\tand\nlines ", "tabs_and_lines"),
        ("?!", "query"),
        ("x" * 500, "x" * 60),
    ],
)
def test_file_names_are_safe(query, name):
    assert file_name(query, set()) == name


def test_two_queries_of_one_name_get_numbers():
    taken: set[str] = set()
    queries = ("a dog", "a dog?", "A DOG", "a dog 2")
    names = [file_name(query, taken) for query in queries]
    assert names == ["a_dog", "a_dog_2", "A_DOG_3", "a_dog_2_2"]


def test_pictures_of_a_split(sample_manifest, tmp_path):
    embeddings = embeddings_of(read_manifest(sample_manifest, "test"))
    done = draw(embeddings, tmp_path, ["a cat", "a cat!", "a cat"], top=2)
    names = [*BEFORE, "results_a_cat.png", "results_a_cat_2.png", *AFTER]
    assert [path.name for path in done.files] == names
    assert sorted(tmp_path.iterdir()) == sorted(done.files)
    assert done.notes == []


@pytest.mark.parametrize("captions", [1, 5])
def test_one_image_alone_draws(sample_manifest, tmp_path, captions):
    photo = read_manifest(sample_manifest, "test")[0]
    embeddings = embeddings_of([photo])
    cut = Embeddings(
        embeddings.images,
        embeddings.texts[:captions],
        embeddings.owner[:captions],
        embeddings.image_ids,
        embeddings.captions[:captions],
        embeddings.paths,
    )
    done = draw(cut, tmp_path, ["a cat"])
    names = {path.name for path in done.files}
    assert names - {"tsne.png"} == {*BEFORE[1:], "results_a_cat.png", *AFTER}
    assert ("tsne.png" in names) == (captions == 5)
    assert len(done.notes) == (captions == 1)  # that t-SNE has too few points is said


def test_nothing_to_draw_and_empty_queries_are_errors(sample_manifest, tmp_path):
    embeddings = embeddings_of(read_manifest(sample_manifest, "test"))
    with pytest.raises(ConfigError, match="empty --query"):
        draw(embeddings, tmp_path, ["a cat", " "])
    with pytest.raises(DataError, match="nothing to draw"):
        draw(embeddings_of([]), tmp_path, ["a cat"])
    broken = embeddings_of(read_manifest(sample_manifest, "test"))
    broken.texts[2, 0] = np.nan
    with pytest.raises(DataError, match="NaN"):
        draw(broken, tmp_path, ["a cat"])
    assert not list(tmp_path.iterdir())


def test_queries_in_any_script_draw(sample_manifest, tmp_path):
    embeddings = embeddings_of(read_manifest(sample_manifest, "test"))
    done = draw(embeddings, tmp_path, ["一只狗 🐕", "שלום", "\U00012000\U00012001 cuneiform"])
    assert len(done.files) == len(set(done.files)) == 9
    for path in done.files:
        with Image.open(path) as image:
            image.load()


def test_visualize(tiny_checkpoint, sample_manifest, tmp_path, capsys):
    out = tmp_path / "pictures"
    arguments = ["visualize", "--model", str(tiny_checkpoint), "--manifest", str(sample_manifest)]
    arguments += ["--split", "test", "--out", str(out), "--query", "a red bus", "--json", "-"]
    results = []
    for _ in range(2):
        assert run(app, arguments) == 0
        captured = capsys.readouterr()
        results.append(json.loads(captured.out))
        for file in results[-1]["files"]:
            assert f"wrote {file}" in captured.err
    first, second = results
    photos = read_manifest(sample_manifest, "test")
    assert first["images"] == len(photos)
    assert first["captions"] == sum(len(photo.captions) for photo in photos)
    names = [*BEFORE, "results_a_red_bus.png", *AFTER]
    assert first["files"] == [str(out / name) for name in [*names, "report.html"]]
    assert first["report"] == str(out / "report.html")
    for name in names:
        with Image.open(out / name) as image:
            image.load()
    text = (out / "report.html").read_text(encoding="utf-8")
    assert "From training_history_16.pth" in text and "“a red bus”" in text
    # What the model computed once is kept, and used only for what it is of.
    assert (first["cached"], second["cached"]) == (False, True)
    assert {**first, "cached": True} == second
    assert run(app, [*arguments, "--split", "val"]) == 0
    assert json.loads(capsys.readouterr().out)["cached"] is False


def test_visualize_without_a_report_and_with_a_cache_elsewhere(
    tiny_checkpoint, sample_manifest, tmp_path, capsys
):
    out, cache = tmp_path / "pictures", tmp_path / "kept"
    arguments = ["visualize", "--model", str(tiny_checkpoint), "--manifest", str(sample_manifest)]
    arguments += ["--out", str(out), "--no-report", "--cache", str(cache), "--json", "-"]
    assert run(app, [*arguments, "--quiet"]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert captured.err == "" and result["report"] is None
    assert sorted(result["files"]) == sorted(str(path) for path in out.iterdir())
    assert all(name.endswith(".png") for name in result["files"])
    assert [path.suffix for path in cache.iterdir()] == [".npz"]


def test_photos_that_moved_after_they_were_embedded(
    tiny_checkpoint, sample_manifest, tmp_path, capsys
):
    photos = [dataclasses.replace(p, image=tmp_path / p.image.name)
              for p in read_manifest(sample_manifest, "test")]  # fmt: skip
    for photo in photos:
        shutil.copy(sample_dir() / "images" / photo.image.name, photo.image)
    write_manifest(tmp_path / "m.jsonl", photos)
    arguments = ["visualize", "--model", str(tiny_checkpoint), "--json", "-"]
    arguments += ["--manifest", str(tmp_path / "m.jsonl"), "--out", str(tmp_path / "pictures")]
    assert run(app, arguments) == 0
    capsys.readouterr()
    photos[0].image.unlink()
    assert run(app, arguments) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["cached"] and result["images"] == len(photos) and result["skipped"] == []
    assert any("1 photo could not be read" in note for note in result["notes"])
    for photo in photos[1:]:
        photo.image.unlink()
    assert run(app, arguments) == 2
    assert "if the photos were moved" in capsys.readouterr().err


def test_visualize_skips_an_unreadable_photo(tiny_checkpoint, sample_manifest, tmp_path, capsys):
    photos = read_manifest(sample_manifest, "test")
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    bad = type(photos[0])("bad", broken, ("a broken one",), 1, 1, "", "test")
    write_manifest(tmp_path / "m.jsonl", [bad, *photos[:3]])
    arguments = ["visualize", "--model", str(tiny_checkpoint), "--json", str(tmp_path / "r.json")]
    arguments += ["--manifest", str(tmp_path / "m.jsonl"), "--out", str(tmp_path / "pictures")]
    assert run(app, arguments) == 0
    assert "skipped 1 unreadable images: bad" in capsys.readouterr().out
    result = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert result["skipped"] == ["bad"] and result["images"] == 3


def test_visualize_says_in_one_line_what_is_wrong(tiny_checkpoint, sample_manifest, tmp_path):
    def fails(*arguments):
        return run(app, ["visualize", "--out", str(tmp_path / "p"), *map(str, arguments)])

    assert fails("--model", tiny_checkpoint, "--manifest", tmp_path / "none.jsonl") == 2
    assert fails("--model", tmp_path / "none.pth", "--manifest", sample_manifest) == 2
    wrong = ("--model", tiny_checkpoint, "--manifest", sample_manifest)
    assert fails(*wrong, "--split", "tset") == 2
    assert fails(*wrong, "--query", "") == 2
    assert not (tmp_path / "p").exists()


def test_the_demo_recipe_is_the_default_one_cut_to_its_heads(tmp_path):
    write_recipe(tmp_path / "new" / "recipe.yaml")
    recipe, small = load_recipe(str(tmp_path / "new" / "recipe.yaml")), load_recipe("small")
    assert recipe.model == small.model
    assert len(recipe.stages) == 1 and recipe.stages[0].frozen
    assert recipe.stages[0].lr == small.stages[0].lr


def test_the_demo_says_in_one_line_that_its_folder_cannot_be(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run(app, ["demo", "--out", str(tmp_path / "file" / "demo")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_demo_says_what_its_numbers_mean(tmp_path):
    at = {"R@1": 25.0}
    evaluation = {
        "protocol": {"images": 8, "captions": 40},
        "t2i": {"R@1": 37.5},
        "i2t": {"R@1": 50.0},
        "chance": {"t2i": {"R@1": 12.5}, "i2t": at},
    }
    text = summary(evaluation, tmp_path, 61.4)
    assert "61 seconds" in text
    assert "8 photos" in text and "40 captions" in text
    assert "38 %" in text and "12 %" in text and "50 %" in text and "25 %" in text
    assert "only show the way" in text


@pytest.mark.slow
def test_demo_from_photos_to_pictures(tmp_path, capsys):
    out = tmp_path / "my demo"
    assert run(app, ["demo", "--out", str(out), "--json", "-"]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    photos = read_manifest(out / "manifest.jsonl")
    assert len(photos) == 35
    assert {photo.split for photo in photos} == {"train", "val", "test"}
    assert result["evaluation"]["protocol"]["split"] == "test"
    assert result["evaluation"]["t2i"]["R@1"] > result["evaluation"]["chance"]["t2i"]["R@1"]
    for command in ("prepare", "split", "train", "evaluate", "visualize"):
        assert f"$ pairlight {command} --" in captured.err
    assert (out / "visualization" / "report.html").is_file()
    for path in result["pictures"]:
        if path.endswith(".png"):
            with Image.open(path) as image:
                image.load()
    # The commands it printed can be run again as they stand, the training aside.
    line = next(x for x in captured.err.splitlines() if x.startswith("$ pairlight split"))
    assert "'" in line  # the folder's name has a space
    assert run(app, ["demo", "--out", str(out), "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    shutil.rmtree(out)


def test_ctrl_c_ends_the_demo_where_it_is(tmp_path, capsys, monkeypatch):
    from pairlight.cli import split

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(split, "Output", stop)
    assert run(app, ["demo", "--out", str(tmp_path)]) == 130
    captured = capsys.readouterr()
    assert "$ pairlight split" in captured.out and "$ pairlight train" not in captured.out
    assert captured.err.endswith("pairlight: stopped\n")


def test_the_demo_spares_what_is_not_its_own(tmp_path, capsys):
    (tmp_path / "checkpoints").mkdir()
    assert run(app, ["demo", "--out", str(tmp_path)]) == 2
    assert "holds something else already" in capsys.readouterr().err
