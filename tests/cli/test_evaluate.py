"""Runs `pairlight evaluate` on invented photos with a stand-in model, and on a real checkpoint."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import pairlight.embed
from pairlight.cli.main import app, run
from pairlight.data.manifest import read_manifest, write_manifest
from pairlight.errors import DataError
from pairlight.imaging import open_image
from pairlight.types import Embeddings, Photo

FAKE = SimpleNamespace(
    name="stand-in", embed_dim=64, parameters=12, sha256="0" * 64, logit_scale=20.0
)


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def fake_embed(model, photos, track=None):
    """Embeds like `pairlight.embed.embed_photos`: what does not open is left out, by id."""
    kept = []
    for photo in photos:
        try:
            open_image(photo.image)
            kept.append(photo)
        except DataError:
            pass
    rng = np.random.default_rng(0)
    images = unit(rng.normal(size=(len(kept), 64)))
    owner = np.repeat(np.arange(len(kept)), [len(photo.captions) for photo in kept])
    return Embeddings(
        images=images,
        texts=unit(images[owner] + 0.35 * rng.normal(size=(len(owner), 64))),
        owner=owner,
        image_ids=tuple(photo.image_id for photo in kept),
        captions=tuple(text for photo in kept for text in photo.captions),
        categories=tuple(photo.category for photo in kept),
        seconds={"images": 0.5, "texts": 0.25},
        skipped=tuple(photo.image_id for photo in photos if photo not in kept),
    )


@pytest.fixture
def fake_model(monkeypatch):
    monkeypatch.setattr(pairlight.embed, "load_model", lambda path, device="auto", looks=1: FAKE)
    monkeypatch.setattr(pairlight.embed, "embed_photos", fake_embed)


@pytest.fixture
def photos(tmp_path):
    """Thirty tiny photos with two captions each: 20 train, 4 val, 6 test."""
    found = []
    for n in range(30):
        path = tmp_path / f"{n:02}.png"
        Image.new("RGB", (8, 8), (8 * n, 0, 0)).save(path)
        split = "train" if n < 20 else "val" if n < 24 else "test"
        captions = (f"red number {n}", f"the shade {n}")
        found.append(Photo(f"{n:02}", path, captions, 8, 8, "0" * 64, split))
    return found


@pytest.fixture
def manifest(tmp_path, photos):
    path = tmp_path / "photos.jsonl"
    write_manifest(path, photos)
    return path


@pytest.fixture
def captions_file(tmp_path, photos):
    path = tmp_path / "captions.csv"
    lines = [f"{photo.image.name},{text}" for photo in photos for text in photo.captions]
    path.write_text("image,caption\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def evaluate(*words):
    return run(app, ["evaluate", "--model", "any.pth", *map(str, words)])


def only_line(capsys):
    """The one line of stderr that a user's mistake gets; stdout stays empty."""
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("pairlight: ") and err.count("\n") == 1
    return err


def test_writes_the_promised_json_and_a_table(fake_model, manifest, tmp_path, capsys):
    assert evaluate("--manifest", manifest, "--json", tmp_path / "deep" / "r.json") == 0
    out, err = capsys.readouterr()
    result = json.loads((tmp_path / "deep" / "r.json").read_text())
    facts = ("name", "embed_dim", "parameters", "sha256")
    assert result["model"] == {fact: getattr(FAKE, fact) for fact in facts} | {"looks": 1}
    assert result["protocol"]["images"] == 6 and result["protocol"]["captions"] == 12
    assert result["protocol"]["split"] == "test"
    assert "measuring split test, 6 photos" in out and "95 % interval" in out
    assert f"{result['t2i']['R@1']:.1f} [" in out
    assert err == ""


def test_json_on_stdout_stands_alone(fake_model, manifest, capsys):
    assert evaluate("--manifest", manifest, "--split", "val", "--json", "-") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["protocol"]["images"] == 4
    assert "split val" in err


def test_quiet_says_nothing(fake_model, manifest, capsys):
    assert evaluate("--manifest", manifest, "--quiet") == 0
    assert capsys.readouterr() == ("", "")


def test_val_stands_in_for_a_missing_test_split(fake_model, photos, tmp_path, capsys):
    path = tmp_path / "two.jsonl"
    write_manifest(path, photos[:24])
    assert evaluate("--manifest", path) == 0
    assert "measuring split val, 4 photos" in capsys.readouterr().out
    assert evaluate("--manifest", path, "--split", "test") == 2
    assert "no images in split 'test'" in only_line(capsys)


def test_split_all_takes_every_photo(fake_model, manifest, capsys):
    assert evaluate("--manifest", manifest, "--split", "all", "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["protocol"]["images"] == 30


def test_looks_reach_the_model_and_the_json(fake_model, manifest, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(pairlight.embed, "load_model", lambda *words: asked.append(words) or FAKE)
    assert evaluate("--manifest", manifest, "--looks", 3, "--json", tmp_path / "out.json") == 0
    assert asked[0][2] == 3
    assert json.loads((tmp_path / "out.json").read_text())["model"]["looks"] == 3
    assert evaluate("--manifest", manifest, "--looks", 4) == 2


def test_seed_reaches_the_intervals(fake_model, manifest, capsys):
    def intervals(seed):
        assert (
            evaluate("--manifest", manifest, "--split", "all", "--seed", seed, "--json", "-") == 0
        )
        result = json.loads(capsys.readouterr().out)
        assert result["protocol"]["seed"] == seed
        return result["ci95"]

    assert intervals(1) == intervals(1) != intervals(2)


def test_a_photo_that_does_not_open_is_skipped_and_listed(fake_model, manifest, tmp_path, capsys):
    (tmp_path / "25.png").write_bytes(b"")
    assert evaluate("--manifest", manifest, "--json", tmp_path / "r.json") == 0
    result = json.loads((tmp_path / "r.json").read_text())
    assert result["skipped"] == ["25"]
    assert result["protocol"]["images"] == 5 and result["protocol"]["captions"] == 10
    assert "1 images skipped, they would not open: 25" in capsys.readouterr().out


def test_no_photo_that_opens_is_one_clear_line(fake_model, manifest, tmp_path, capsys):
    for n in range(24, 30):
        (tmp_path / f"{n}.png").write_bytes(b"no image")
    assert evaluate("--manifest", manifest, "--quiet") == 2
    assert "none of the 6 images would open" in only_line(capsys)


def test_folder_and_captions_in_place_of_a_manifest(fake_model, captions_file, tmp_path, capsys):
    (tmp_path / "03.png").write_bytes(b"cut short")
    before = sorted(tmp_path.iterdir())
    words = ("--images", tmp_path, "--captions", captions_file, "--json", "-")
    assert evaluate(*words) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert result["protocol"]["images"] == 29 and result["protocol"]["split"] == "all"
    assert result["left_out"]["unreadable_images"]["count"] == 1
    assert "03.png" in result["left_out"]["unreadable_images"]["examples"][0]
    assert "left out: 1 unreadable images" in err
    assert sorted(tmp_path.iterdir()) == before  # nothing is written beside the photos
    assert evaluate(*words, "--split", "test", "--quiet") == 2
    assert "no photo of split 'test'" in only_line(capsys)


def test_protocols_and_analysis_reach_the_json(fake_model, manifest, tmp_path, capsys):
    words = ("--manifest", manifest, "--split", "all", "--json", tmp_path / "r.json")
    assert evaluate(*words, "--protocol", "random:10x3,folds:7", "--protocol", "random:12") == 0
    result = json.loads((tmp_path / "r.json").read_text())
    assert list(result["protocols"]) == ["random:10x3", "folds:7", "random:12"]
    assert result["protocols"]["folds:7"]["left_over"] == 2
    assert len(result["analysis"]["similarity"]["edges"]) == 41
    assert result["queries"]["image_ids"] == [f"{n:02}" for n in range(30)]
    assert len(result["queries"]["t2i_ranks"]) == 60
    out = capsys.readouterr().out
    assert "10 random images at a time, mean of 3 draws, seed 0" in out
    assert "how images and captions align" in out
    assert evaluate(*words, "--no-analysis") == 0
    result = json.loads((tmp_path / "r.json").read_text())
    assert "analysis" not in result and "protocols" not in result and "queries" in result
    assert "align" not in capsys.readouterr().out.replace("alignment", "")


def test_categories_of_the_manifest_are_measured(fake_model, photos, tmp_path, capsys):
    path = tmp_path / "named.jsonl"
    kinds = ("warm", "cold", 7, None, ["no", "name"])
    write_manifest(path, photos)
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for n, record in enumerate(records):
        if kinds[n % 5] is not None:
            record["category"] = kinds[n % 5]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    assert evaluate("--manifest", path, "--split", "all", "--json", "-") == 0
    found = json.loads(capsys.readouterr().out)["analysis"]["by_category"]
    assert [(each["category"], each["images"]) for each in found] == [
        ("7", 6), ("cold", 6), ("warm", 6),
    ]  # fmt: skip
    assert {each["source"] for each in found} == {"manifest"}
    # What was read is written again.
    write_manifest(path, read_manifest(path))
    assert [photo.category for photo in read_manifest(path)][:5] == ["warm", "cold", "7"] + [
        None
    ] * 2


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("5fold", "--protocol '5fold' is none; use full, random:N"),
        ("random:31", "split all has only 30 images; ask for 30 or fewer"),
        ("folds:1", "at least 2 images"),
    ],
)
def test_a_bad_protocol_is_told_before_the_work(
    fake_model, manifest, monkeypatch, capsys, name, problem
):
    monkeypatch.setattr(pairlight.embed, "embed_photos", None)
    assert evaluate("--manifest", manifest, "--split", "all", "--protocol", name) == 2
    assert problem in only_line(capsys)


def test_a_gallery_that_unreadable_photos_leave_unfilled(fake_model, manifest, tmp_path, capsys):
    (tmp_path / "25.png").write_bytes(b"")
    assert evaluate("--manifest", manifest, "--protocol", "random:6", "--json", "-") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["protocols"] == {"random:6": None}
    assert "protocol random:6: not measured" in err


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "no photos are given"),
        (["--manifest", "m.jsonl", "--images", "a", "--captions", "b"], "given twice"),
        (["--images", "a"], "--captions FILE is missing"),
        (["--manifest", "m.jsonl", "--captions", "b"], "--images DIR is missing"),
        (["--manifest", "absent.jsonl"], "absent.jsonl: manifest not found"),
        (["--images", "a", "--captions", "absent.csv"], "a: no image files"),
    ],
)
def test_mistakes_get_one_line(fake_model, tmp_path, monkeypatch, capsys, words, problem):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    assert evaluate(*words) == 2
    assert problem in only_line(capsys)


def test_wrong_split_lists_the_choices(fake_model, manifest, capsys):
    assert evaluate("--manifest", manifest, "--split", "tset") == 2
    assert "choose from train, val, test" in only_line(capsys)


def test_broken_model_is_no_score(fake_model, manifest, monkeypatch, capsys):
    def embed(*words):
        found = fake_embed(*words)
        found.texts[1] = np.nan
        return found

    monkeypatch.setattr(pairlight.embed, "embed_photos", embed)
    assert evaluate("--manifest", manifest, "--quiet") == 2
    assert "text embedding 1 holds NaN" in only_line(capsys)
