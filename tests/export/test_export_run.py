"""The whole export of a tiny checkpoint, good ones and spoiled ones."""

import dataclasses
import hashlib
import json

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from pairlight.errors import ConfigError, ModelError
from pairlight.export import quantize, word_vectors
from pairlight.export import run as module
from pairlight.export.describe import licences
from pairlight.export.probes import from_sample
from pairlight.export.run import Options, export_model, summary
from pairlight.models.checkpoint import extra_of, load_checkpoint, save_checkpoint
from pairlight.models.weights import sha256_of
from pairlight.output import Output
from pairlight.runtime.folder import FILES
from pairlight.runtime.model import ExportedModel
from pairlight.runtime.word_vectors import encode_queries

QUIET = Output(quiet=True)


@pytest.fixture(scope="module")
def sources():
    return from_sample(0)


@pytest.fixture
def graphs(exported, monkeypatch):
    """The tiny model's graphs, which a test may spoil, in place of a slow export."""
    found = {tower: onnx.load(exported / f"{tower}.onnx") for tower in ("image", "text")}
    monkeypatch.setattr(module, "export_graphs", lambda dual: found)
    return found


def spoil(model, scale):
    """Add noise to the largest weights."""
    items = [item for item in model.graph.initializer if len(item.dims) > 1]
    item = max(items, key=lambda each: np.prod(each.dims))
    value = numpy_helper.to_array(item)
    noise = np.random.default_rng(0).normal(size=value.shape) * value.std() * scale
    item.CopyFrom(numpy_helper.from_array((value + noise).astype(np.float32), item.name))


def test_the_description(exported, tiny_checkpoint):
    facts = json.loads((exported / "model.json").read_text(encoding="utf-8"))
    assert {path.name for path in exported.iterdir()} == {"model.json", *FILES}
    for name, entry in facts["files"].items():
        content = (exported / name).read_bytes()
        assert entry == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    assert facts["checkpoint"]["sha256"] == sha256_of(tiny_checkpoint)
    assert facts["precision"] == {"image": "fp32", "text": "fp32"}
    assert facts["int8_refused"] == {"image": "not asked for", "text": "not asked for"}
    assert facts["dynamic_axes"] == {
        "pixels": {"0": "B"},
        "tokens": {"0": "M", "1": "L"},
        "mask": {"0": "M", "1": "L"},
    }
    assert (facts["opset"], facts["embed_dim"], facts["image_size"]) == (20, 16, 64)
    assert facts["parity"]["image"]["fp32"]["cosine_min"] >= 0.999
    assert facts["parity"]["probes"]["images"] == 18
    assert facts["parity"]["machine"]["processor"]
    assert facts["licences"] == {"image": None, "text": None}
    for tower in ("image", "text"):
        model = onnx.load(exported / f"{tower}.onnx")
        onnx.checker.check_model(model)
        assert [each.version for each in model.opset_import if not each.domain] == [20]


def test_int8_towers(graphs, tiny_checkpoint, sources, tmp_path):
    out = tmp_path / "model"
    done = export_model(tiny_checkpoint, out, sources, Options(for_size=True), QUIET)
    assert done["precision"] == {"image": "int8", "text": "int8"} and done["int8_refused"] == {}
    for tower in ("image", "text"):
        measured = done["parity"][tower]
        assert measured["int8"]["cosine_mean"] >= 0.99
        assert measured["int8"]["bytes"] < measured["fp32"]["bytes"]
        model = onnx.load(out / f"{tower}.onnx")
        onnx.checker.check_model(model)
        assert not [
            each.domain for each in model.opset_import if each.domain not in ("", "ai.onnx.ml")
        ]
    assert done["parity"]["calibration"] == "the other half of the bundled sample, augmented"
    text = summary(done, out)
    assert "image: int8, cosine to the checkpoint mean" in text and "MB" in text


@pytest.mark.parametrize("tower", ["image", "text"])
def test_a_wrong_graph_is_refused_and_nothing_left(
    graphs, tiny_checkpoint, sources, tmp_path, tower
):
    spoil(graphs[tower], 5)
    with pytest.raises(ModelError, match=f"{tower}.onnx does not give the checkpoint's embedd"):
        export_model(tiny_checkpoint, tmp_path / "model", sources, Options(int8=False), QUIET)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_graph_does_not_replace_a_good_one(
    graphs, tiny_checkpoint, sources, tmp_path, exported
):
    import shutil

    out = tmp_path / "model"
    shutil.copytree(exported, out)
    before = (out / "model.json").read_bytes()
    spoil(graphs["text"], 5)
    with pytest.raises(ModelError):
        options = Options(int8=False, overwrite=True)
        export_model(tiny_checkpoint, out, sources, options, QUIET)
    assert (out / "model.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_wrong_int8_twin_gives_way_to_fp32(
    graphs, tiny_checkpoint, sources, tmp_path, monkeypatch
):
    def spoiled(model, feeds):
        twin = onnx.ModelProto()
        twin.CopyFrom(model)
        spoil(twin, 30)
        return twin

    monkeypatch.setattr(module, "quantize", spoiled)
    out = tmp_path / "model"
    done = export_model(tiny_checkpoint, out, sources, Options(), QUIET)
    assert done["precision"] == {"image": "fp32", "text": "fp32"}
    assert "mean cosine" in done["int8_refused"]["text"]
    assert json.loads((out / "model.json").read_text())["int8_refused"] == done["int8_refused"]
    assert "text: int8 is not used: its mean cosine" in summary(done, out)


def test_a_twin_that_cannot_be_made_gives_way_too(
    graphs, tiny_checkpoint, sources, tmp_path, monkeypatch
):
    def fails(model, feeds):
        raise KeyError("no such node")

    monkeypatch.setattr(module, "quantize", fails)
    done = export_model(tiny_checkpoint, tmp_path / "m", sources, Options(), QUIET)
    assert done["int8_refused"]["image"] == "it could not be made ('no such node')"


def test_for_size_a_tower_that_loses_too_much_has_int8_weights_alone(
    graphs, tiny_checkpoint, sources, tmp_path, monkeypatch
):
    def spoiled(graph, feeds):
        twin = onnx.ModelProto()
        twin.CopyFrom(graph)
        spoil(twin, 30)
        return twin

    monkeypatch.setattr(module, "quantize", spoiled)
    monkeypatch.setattr(quantize, "_SMALLEST_LIGHT", 64)  # all of the tiny model's are small
    out = tmp_path / "model"
    done = export_model(tiny_checkpoint, out, sources, Options(for_size=True), QUIET)
    assert done["precision"]["image"] == "int8" and "image" not in done["int8_refused"]
    assert "mean cosine" in done["parity"]["weights_alone"]["image"]
    assert done["parity"]["image"]["int8"]["cosine_mean"] > 0.999
    assert "weights alone are int8; with int8 arithmetic its mean cosine" in summary(done, out)
    exact = export_model(tiny_checkpoint, tmp_path / "exact", sources, Options(), QUIET)
    assert exact["precision"]["image"] == "fp32" and "weights_alone" not in exact["parity"]


def test_photos_enough_to_calibrate_by_reach_the_description(
    graphs, tiny_checkpoint, sources, tmp_path
):
    def calibrate(images, texts, owner, captions, learnt, encode):
        assert learnt == ["a thing it learnt from"] * len(sources.calibration) + ["pizza"] * 10
        np.testing.assert_allclose(encode(captions), texts, atol=1e-5)
        return {"images": len(images), "texts": len(texts), "last": captions[-1]}

    options = Options(int8=False)
    out = tmp_path / "model"
    learnt = [
        dataclasses.replace(photo, captions=("a thing it learnt from",))
        for photo in sources.calibration
    ]
    known = dataclasses.replace(sources, learnt=learnt)
    model, content = load_checkpoint(tiny_checkpoint)
    named = tmp_path / "named.pth"
    save_checkpoint(named, model, **extra_of(content) | {"class_names": ["pizza"]})
    export_model(named, out, known, options, QUIET, calibrate)
    stored = json.loads((out / "model.json").read_text())["calibration"]
    assert stored["images"] == 18 and stored["texts"] == 90 and stored["last"]
    assert ExportedModel(out).calibration == stored


@pytest.mark.parametrize("helps", [True, False])
def test_word_vectors_that_help_are_part_of_the_folder(
    graphs, tiny_checkpoint, sources, tmp_path, monkeypatch, helps
):
    monkeypatch.setattr(word_vectors, "LEAST", 2)
    monkeypatch.setattr(word_vectors.Trial, "kept", property(lambda self: helps))
    told, out = [], tmp_path / "model"

    def calibrate(images, texts, owner, captions, learnt, encode):
        told.append((texts, captions))
        np.testing.assert_allclose(encode(captions), texts, atol=1e-5)

    known = dataclasses.replace(sources, learnt=sources.calibration)
    done = export_model(tiny_checkpoint, out, known, Options(int8=False), QUIET, calibrate)
    facts = done["word_vectors"]
    assert facts["photos"] == len(sources.calibration) and facts["words"] > 20
    assert set(facts["mAP"]) == {"without", "with"}
    model = ExportedModel(out)
    assert (out / "words.npz").exists() == helps == ("words.npz" in done["files"])
    assert (model.word_vectors is not None) == helps
    texts, captions = told[0]
    np.testing.assert_allclose(encode_queries(model, captions), texts, atol=1e-4)
    without = dataclasses.replace(sources, learnt=())
    export_model(tiny_checkpoint, tmp_path / "b", without, Options(int8=False), QUIET)
    assert ExportedModel(tmp_path / "b").sha256 == model.sha256  # an index stays good


def test_targets_are_checked_before_the_work(tiny_checkpoint, sources, tmp_path, monkeypatch):
    (tmp_path / "mine.txt").touch()
    monkeypatch.setattr(module, "load_checkpoint", lambda path: pytest.fail("too late"))
    with pytest.raises(ConfigError, match="mine.txt"):
        export_model(tiny_checkpoint, tmp_path, sources, Options(), QUIET)


def test_licences():
    known = licences("efficientnet_lite2", None, "minilm")
    assert "Apache-2.0" in known["image"] and "Apache-2.0" in known["text"]
    assert licences("efficientnet_lite2", "mine.pth", "bert-base-uncased") == {
        "image": None,
        "text": None,
    }
