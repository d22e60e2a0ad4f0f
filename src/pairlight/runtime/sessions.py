"""Makes ONNX Runtime sessions that fit the machine: its cores, little memory, no busy waiting."""

import base64
import os
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime as ort

from pairlight.errors import ModelError

# What a model has among its properties whose int8 products fit into 16 bits (export/fitting.py).
FITS = "pairlight.products_fit"
_PROPERTIES = 4096  # bytes, more than they take
_MOST_THREADS = 16  # Batches this small do not gain from more.
# An ONNX model of one node, y = MatMulInteger(a, b): (1, 64) uint8, (64, 16) int8 -> int32.
_PRODUCT = base64.b64decode(
    "CAUSADpcChgKAWEKAWISAXkiDU1hdE11bEludGVnZXISAWdaEwoBYRIOCgwIAhIICgIIAQoCCEBaEwoBYhIOCgwI"
    "AxIICgIIQAoCCBBiEwoBeRIOCgwIBhIICgIIAQoCCBBCBAoAEAo="
)


def make_session(model: bytes | str, what: str, threads: int | None = None) -> ort.InferenceSession:
    """Return a session on the processor for an ONNX model, its bytes or its path.

    `threads` defaults to `usable_cores()`. `what` names the model in the `ModelError` for one that
    ONNX Runtime cannot open.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or usable_cores()
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # What matters is raised; the rest would be noise on stderr.
    # Lengths vary, so patterns of one shape are no use for the next and would only be kept.
    options.enable_mem_pattern = False
    # Threads that spin while they wait take the processor from those that decode photos.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Properties stand at a file's end; to look through all of a text tower takes 5 ms.
    fits = isinstance(model, bytes) and FITS.encode() in model[-_PROPERTIES:]
    if products_saturate() and not fits:
        # Exact, and slower (images by a third): only where it is needed.
        options.add_session_config_entry("session.x64quantprecision", "1")
    if isinstance(model, bytes) and b"QuantizeLinear" not in model:
        # Int8 weights with float arithmetic: turned to float once, not in every run (1.7 times).
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises kinds of its own, none of them public
        why = " ".join(str(error).split())[:160]
        raise ModelError(
            f"{what}: ONNX Runtime {ort.__version__} cannot open it ({why}); "
            "copy or export the model again, or upgrade onnxruntime"
        ) from None


@cache
def products_saturate() -> bool:
    """Return whether sums of int8 products come out too small on this processor.

    x86 without VNNI adds pairs of products in 16 bits, which large ones overflow; int8 models
    would be less exact there than where they were measured. It is tried, not looked up.
    """
    session = ort.InferenceSession(_PRODUCT, providers=["CPUExecutionProvider"])
    a, b = np.full((1, 64), 255, np.uint8), np.full((64, 16), 127, np.int8)
    (found,) = session.run(None, {"a": a, "b": b})
    return not np.array_equal(np.asarray(found), a.astype(np.int32) @ b.astype(np.int32))


def embed(session: ort.InferenceSession, *inputs: np.ndarray) -> np.ndarray:
    """Return the embeddings (n, d) that a tower's session gives for its inputs, in order."""
    names = [port.name for port in session.get_inputs()]
    (found,) = session.run(None, dict(zip(names, inputs, strict=True)))
    assert isinstance(found, np.ndarray)
    return found


def usable_cores() -> int:
    """Return how many physical cores this process may use, at least 1.

    Two threads on one core share its arithmetic units, so hyper-threads are not counted.
    OMP_NUM_THREADS, where set, and a container's CPU quota are upper limits.
    """
    try:
        allowed = os.sched_getaffinity(0)
    except AttributeError:  # not on macOS and Windows
        allowed = set(range(os.cpu_count() or 1))
    limits = [_physical(allowed), _MOST_THREADS]
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked) > 0:
        limits.append(int(asked))
    quota = _quota(Path("/sys/fs/cgroup/cpu.max"))
    if quota is not None:
        limits.append(quota)
    return max(1, min(limits))


def _physical(allowed: set[int], root: Path = Path("/sys/devices/system/cpu")) -> int:
    """Count the cores behind the allowed processors; each by itself where that is not told."""
    cores = set()
    for number in allowed:
        try:
            siblings = root / f"cpu{number}" / "topology" / "thread_siblings_list"
            cores.add(siblings.read_text(encoding="ascii").strip())
        except OSError:
            cores.add(str(number))
    return len(cores)


def _quota(path: Path) -> int | None:
    """Return a container's CPU quota in whole cores, rounded up; None without one."""
    try:
        most, period = path.read_text(encoding="ascii").split()
        return None if most == "max" else max(1, -(-int(most) // int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        return None
