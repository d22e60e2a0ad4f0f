"""What an exported folder must be before anything in it is used."""

import hashlib
import json
import os
import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pairlight.embed import load_model
from pairlight.errors import ModelError
from pairlight.runtime.folder import FILES, ModelFolder, is_model_folder, open_folder
from pairlight.runtime.model import ExportedModel
from pairlight.runtime.word_vectors import WordVectors


def refused(folder, *words):
    """Open a folder that must be refused in one line which holds all the words."""
    with pytest.raises(ModelError) as caught:
        load_model(folder)
    return told(caught, words)


def refused_in_use(folder, *words):
    """Use a folder of which a tower must be refused: what it holds is read when it is needed."""
    model = load_model(folder)
    with pytest.raises(ModelError) as caught:
        model.encode_texts(["a dog"])
        model.encode_pixels(np.zeros((1, 64, 64, 3), np.uint8))
    return told(caught, words)


def told(caught, words):
    text = str(caught.value)
    assert "\n" not in text and all(word in text for word in words), text
    return text


def rehash(folder, name):
    """Make model.json tell the hash that a changed file now has."""
    path = folder / "model.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    content = (folder / name).read_bytes()
    facts["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    path.write_text(json.dumps(facts), encoding="utf-8")


def test_a_good_folder_opens(exported):
    folder = open_folder(exported)
    assert set(folder.hashes) == set(FILES)
    hashes = json.dumps(folder.hashes, sort_keys=True).encode()
    assert folder.sha256 == hashlib.sha256(hashes).hexdigest()
    assert (folder.name, folder.embed_dim, folder.image_size) == ("tiny", 16, 64)
    assert is_model_folder(exported) and not is_model_folder(exported.parent)


def with_words(folder, dim=16):
    vectors = WordVectors.of(["dog"], np.ones((1, dim)))
    (folder / "words.npz").write_bytes(vectors.to_bytes())
    rehash(folder, "words.npz")
    return folder


def test_word_vectors_may_be_there_and_do_not_change_which_model_it_is(exported, spoiled):
    assert load_model(spoiled).word_vectors is None
    model = load_model(with_words(spoiled))
    assert model.word_vectors.words == ("dog",) and model.sha256 == load_model(exported).sha256
    (spoiled / "words.npz").unlink()
    refused(spoiled, "words.npz", "missing")


def test_word_vectors_are_checked_when_they_are_read(spoiled):
    model = load_model(with_words(spoiled))
    path = spoiled / "words.npz"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError) as caught:
        model.word_vectors  # noqa: B018
    told(caught, ["words.npz: sha256", "changed or cut short"])
    model = load_model(with_words(spoiled, dim=8))
    with pytest.raises(ModelError) as caught:
        model.word_vectors  # noqa: B018
    told(caught, ["words.npz: word vectors: rows of 16 numbers are due"])


def test_absent_and_foreign_folders(tmp_path):
    refused(tmp_path, "has no model.json", "pairlight export")
    with pytest.raises(ModelError, match="model folder not found"):
        open_folder(tmp_path / "nowhere")
    (tmp_path / "model.json").write_text("[1]")
    refused(tmp_path, "not the description of an exported pairlight model")
    (tmp_path / "model.json").write_text("{" * 100_000)
    refused(tmp_path, "not a JSON object")


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file(spoiled, name):
    (spoiled / name).unlink()
    refused(spoiled, name, "missing from the model folder")


@pytest.mark.parametrize("name", FILES)
def test_one_changed_byte(spoiled, name):
    content = bytearray((spoiled / name).read_bytes())
    content[len(content) // 2] ^= 1
    (spoiled / name).write_bytes(content)
    fails = refused if name == "tokenizer.json" else refused_in_use
    fails(spoiled, name, "changed or cut short")


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_short(spoiled, name):
    content = (spoiled / name).read_bytes()
    (spoiled / name).write_bytes(content[: len(content) // 2])
    refused(spoiled, name, "changed or cut short")


def test_a_file_changed_after_opening(spoiled, sample_manifest):
    """A tower is checked when it is made ready: what was hashed is what runs."""
    model = ExportedModel(spoiled)
    content = bytearray((spoiled / "text.onnx").read_bytes())
    content[-1] ^= 1
    (spoiled / "text.onnx").write_bytes(content)
    with pytest.raises(ModelError, match="changed or cut short"):
        model.encode_texts(["a dog"])


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"format": "other"}, "not the description"),
        ({"version": 2}, "version 2 is not 1"),
        ({"version": None}, "version None is not 1"),
        ({"name": 5}, "name must be text"),
        ({"embed_dim": "16"}, "embed_dim must be a whole number"),
        ({"embed_dim": True}, "embed_dim must be a whole number"),
        ({"embed_dim": -1}, "embed_dim must be a whole number"),
        ({"image_size": 10**9}, "image_size must be a whole number"),
        ({"max_tokens": 0}, "max_tokens must be a whole number"),
        ({"logit_scale": "20"}, "logit_scale must be a positive number"),
        ({"logit_scale": float("nan")}, "logit_scale must be a positive number"),
        ({"logit_scale": 0}, "logit_scale must be a positive number"),
        ({"parameters": 1.5}, "parameters must be a whole number"),
        ({"files": {}}, "files must list"),
        ({"files": {"../image.onnx": {"sha256": "0" * 64}}}, "files must list"),
        ({"files": {name: {"sha256": "0"} for name in FILES}}, "64 hexadecimal digits"),
        ({"files": dict.fromkeys(FILES, "0" * 64)}, "64 hexadecimal digits"),
        ({"pad_id": 7}, "the files are of two models"),
    ],
)
def test_an_edited_description(edit, keys, words):
    refused(edit(**keys), words)


@pytest.mark.parametrize("key", ["name", "embed_dim", "image_size", "files", "logit_scale"])
def test_a_missing_key(spoiled, key):
    path = spoiled / "model.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    del facts[key]
    path.write_text(json.dumps(facts), encoding="utf-8")
    refused(spoiled, key)


@pytest.mark.parametrize(
    ("keys", "call"),
    [
        ({"embed_dim": 17}, lambda model: model.encode_texts(["a dog"])),
        ({"image_size": 96}, lambda model: model.encode_images([])),
    ],
)
def test_a_description_of_another_graph(edit, keys, call):
    model = load_model(edit(**keys))
    with pytest.raises(ModelError, match=r"takes and gives .* where model.json asks for"):
        call(model)
        model.encode_pixels(__import__("numpy").zeros((1, 96, 96, 3), "uint8"))


def test_towers_swapped(spoiled):
    image, text = spoiled / "image.onnx", spoiled / "text.onnx"
    image.rename(spoiled / "x")
    text.rename(image)
    (spoiled / "x").rename(text)
    refused(spoiled, "changed or cut short")
    for name in ("image.onnx", "text.onnx"):
        rehash(spoiled, name)
    with pytest.raises(ModelError, match="takes and gives"):
        load_model(spoiled).encode_texts(["a dog"])


def test_a_search_in_words_never_touches_the_image_tower(spoiled):
    content = bytearray((spoiled / "image.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (spoiled / "image.onnx").write_bytes(content)
    assert load_model(spoiled).encode_texts(["a dog"]).shape == (1, 16)


def test_each_file_is_read_once(exported, monkeypatch):
    read = []
    original = ModelFolder.read

    def noted(folder, name):
        read.append(name)
        return original(folder, name)

    monkeypatch.setattr(ModelFolder, "read", noted)
    model = load_model(exported)
    for _ in range(2):
        model.encode_texts(["a dog"])
        model.encode_pixels(np.zeros((1, 64, 64, 3), np.uint8))
    assert sorted(read) == sorted(FILES)


def test_data_in_another_file_is_refused(spoiled):
    model = onnx.load(spoiled / "text.onnx")
    tensor = model.graph.initializer.add(name="secret", data_type=TensorProto.FLOAT, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../secret.bin")
    model.graph.node.append(helper.make_node("Identity", ["secret"], ["shown"]))
    (spoiled / "text.onnx").write_bytes(model.SerializeToString())
    rehash(spoiled, "text.onnx")
    refused_in_use(spoiled, "text.onnx", "points to data in another file")


def test_no_onnx_at_all(spoiled):
    (spoiled / "image.onnx").write_bytes(b"no model")
    rehash(spoiled, "image.onnx")
    with pytest.raises(ModelError, match=r"image.onnx: ONNX Runtime .* cannot open it"):
        load_model(spoiled).encode_pixels(__import__("numpy").zeros((1, 64, 64, 3), "uint8"))


def test_no_tokenizer(spoiled):
    (spoiled / "tokenizer.json").write_text("{}")
    rehash(spoiled, "tokenizer.json")
    refused(spoiled, "tokenizer.json", "not a tokenizer.json")


def test_too_large_a_description(spoiled):
    os.truncate(spoiled / "model.json", 2 << 20)
    refused(spoiled, "model.json", "more than such a file can have")


def test_other_devices_are_refused(exported):
    with pytest.raises(ModelError, match="run on cpu, not 'cuda'"):
        load_model(exported, device="cuda")


def test_what_is_measured_later_changes_no_identity(exported, tmp_path):
    """A store must not refuse its own model because it was given a calibration."""
    copy = tmp_path / "copy"
    shutil.copytree(exported, copy)
    facts = json.loads((copy / "model.json").read_text())
    facts["calibration"] = {"kind": "logistic"}
    (copy / "model.json").write_text(json.dumps(facts))
    assert open_folder(copy).sha256 == open_folder(exported).sha256
