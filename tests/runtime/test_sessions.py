"""Threads that fit the machine, and int8 products that are right on it."""

import base64

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pairlight.errors import ModelError
from pairlight.runtime import sessions


def cpu(root, number, siblings):
    folder = root / f"cpu{number}" / "topology"
    folder.mkdir(parents=True)
    (folder / "thread_siblings_list").write_text(siblings + "\n")


def test_hyper_threads_are_not_cores(tmp_path):
    for number in range(8):
        cpu(tmp_path, number, f"{number % 4},{number % 4 + 4}")
    assert sessions._physical(set(range(8)), tmp_path) == 4
    assert sessions._physical({0, 4}, tmp_path) == 1
    assert sessions._physical({0, 1, 9}, tmp_path) == 3  # 9 is not told of: by itself


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("max 100000", None),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("5000 100000", 1),
        ("x", None),
    ],
)
def test_a_containers_quota(tmp_path, text, cores):
    path = tmp_path / "cpu.max"
    path.write_text(text + "\n")
    assert sessions._quota(path) == cores
    assert sessions._quota(tmp_path / "absent") is None


def test_limits_are_kept(monkeypatch):
    monkeypatch.setattr(sessions, "_physical", lambda allowed: 64)
    monkeypatch.setattr(sessions, "_quota", lambda path: None)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert sessions.usable_cores() == 16
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert sessions.usable_cores() == 3
    monkeypatch.setattr(sessions, "_quota", lambda path: 2)
    assert sessions.usable_cores() == 2
    for odd in ("0", "", "4,2"):
        monkeypatch.setenv("OMP_NUM_THREADS", odd)
        assert sessions.usable_cores() == 2


def test_the_product_in_the_source_is_what_it_says():
    a, b, y = (
        helper.make_tensor_value_info(name, kind, shape)
        for name, kind, shape in (
            ("a", TensorProto.UINT8, [1, 64]),
            ("b", TensorProto.INT8, [64, 16]),
            ("y", TensorProto.INT32, [1, 16]),
        )
    )
    node = helper.make_node("MatMulInteger", ["a", "b"], ["y"])
    found = onnx.ModelProto.FromString(sessions._PRODUCT)
    assert found.graph == helper.make_graph([node], "g", [a, b], [y])
    assert base64.b64encode(sessions._PRODUCT)


@pytest.mark.parametrize("saturates", [False, True])
def test_exact_products_are_asked_for_where_they_are_not(monkeypatch, exported, saturates):
    monkeypatch.setattr(sessions, "products_saturate", lambda: saturates)
    session = sessions.make_session(str(exported / "text.onnx"), "text.onnx")
    options = session.get_session_options()
    key = "session.x64quantprecision"
    if saturates:
        assert options.get_session_config_entry(key) == "1"
    else:
        with pytest.raises(RuntimeError):
            options.get_session_config_entry(key)


def test_saturation_is_seen(monkeypatch):
    class Short:
        def __init__(self, *words, **named):
            pass

        def run(self, outputs, feed):
            return [np.full((1, 16), 64 * 32767, np.int32)]

    sessions.products_saturate.cache_clear()
    truth = sessions.products_saturate()
    sessions.products_saturate.cache_clear()
    monkeypatch.setattr(sessions.ort, "InferenceSession", Short)
    assert sessions.products_saturate() is True
    sessions.products_saturate.cache_clear()
    assert truth in (True, False)


def test_a_wrong_model_is_one_line():
    with pytest.raises(ModelError, match="image.onnx: ONNX Runtime") as caught:
        sessions.make_session(b"no model", "image.onnx")
    assert "\n" not in str(caught.value)
