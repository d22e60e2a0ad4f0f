"""Exports a checkpoint: graphs, int8 twins, measurements, the gate, then the folder."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from pairlight.export.describe import describe
from pairlight.export.folder import check_target, write_folder
from pairlight.export.gate import Verdict, judge
from pairlight.export.graphs import TOWERS, export_graphs
from pairlight.export.parity import Measured
from pairlight.export.probes import Probes, Sources, calibration_probes, read_probes
from pairlight.export.quantize import lighten, quantize
from pairlight.export.towers import (
    embed_photos,
    image_inputs,
    measure_towers,
    onnx_run,
    text_inputs,
)
from pairlight.export.word_vectors import BANK, Trial, try_word_vectors
from pairlight.files import sha256_of
from pairlight.hubs import as_queries
from pairlight.models.checkpoint import load_checkpoint
from pairlight.models.dual_encoder import DualEncoder
from pairlight.output import Output
from pairlight.runtime.folder import DESCRIPTION, WORD_VECTORS
from pairlight.runtime.sessions import make_session
from pairlight.runtime.word_vectors import WordVectors, query_texts
from pairlight.types import Json, Photo

# A long text tower needs no more texts than this to show its outlier channels.
_TEXT_FEEDS = 16
# The name of a class is met in training about eleven times as often as a caption.
AS_CAPTIONS = 10


@dataclass(frozen=True)
class Options:
    """What the user chose: int8 twins at all, kept though slow, an older export replaced."""

    int8: bool = True
    for_size: bool = False
    overwrite: bool = False
    seed: int = 0


Texts = Sequence[str]
Encode = Callable[[Texts], np.ndarray]
# images (n, d), texts (m, d), owner (m,) and captions of photos, the captions that the model was
# trained on, and what embeds more texts as the second are, to a description, or None.
Calibrate = Callable[[np.ndarray, np.ndarray, np.ndarray, Texts, Texts, Encode], Json | None]


def export_model(
    checkpoint: Path,
    out: Path,
    sources: Sources,
    options: Options,
    output: Output,
    calibrate: Calibrate = lambda *arrays: None,
) -> Json:
    """Write the exported model to `out` and return its description.

    `calibrate` is given the exported towers' embeddings of the photos judged on; what it returns
    goes into the description as `calibration`.

    Raises `ModelError`, and leaves nothing behind, when a float32 tower does not give the
    checkpoint's embeddings. An int8 tower that is not good enough gives way to the float32 one.
    """
    check_target(out, options.overwrite)
    dual, content = load_checkpoint(checkpoint)
    size, seed = dual.config.image_size, options.seed
    probes = read_probes(sources.judged, sources.judged_name, size, seed, output.track)
    output.say("writing both towers as ONNX; this takes a minute")
    graphs = export_graphs(dual)
    models = {"fp32": {tower: graphs[tower].SerializeToString() for tower in TOWERS}}
    reasons: dict[str, str] = {tower: "not asked for" for tower in TOWERS}
    calibrated = None
    if options.int8:
        calibration = calibration_probes(sources, size, seed)
        calibrated = calibration.source
        output.say(f"making int8 twins, calibrated with {calibrated}")
        models["int8"], reasons = make_twins(graphs, dual, calibration)
    output.say(
        f"measuring on {len(probes.pixels)} photos and {len(probes.captions)} captions: "
        f"{probes.source}"
    )
    measured, verdict = _judged(dual, probes, graphs, models, reasons, options, output)
    files = {f"{t}.onnx": models[verdict.precision[t]][t] for t in TOWERS}
    files["tokenizer.json"] = dual.tokenizer.to_json().encode()
    name, facts = content.get("recipe_name", "unnamed"), _facts(verdict, calibrated)
    images = measured["image"][verdict.precision["image"]].embeddings
    encode = _asks(dual, files["text.onnx"])
    trial = _try_words(sources, dual, files, probes, images, encode, output)
    facts["word_vectors"] = trial.to_json() if trial is not None else None
    if trial is not None and trial.kept:
        files[WORD_VECTORS] = trial.vectors.to_bytes()
        encode = _with_words(trial.vectors, encode)
    judged = images, encode(probes.captions), probes.owner, probes.captions
    facts["calibration"] = calibrate(*judged, texts_learnt(sources.learnt, content), encode)
    description = describe(dual, name, sha256_of(checkpoint), files, facts)
    files[DESCRIPTION] = (json.dumps(description, indent=2, ensure_ascii=False) + "\n").encode()
    write_folder(out, files, options.overwrite)
    return description


def texts_learnt(photos: Sequence[Photo], content: Json) -> list[str]:
    """Return what a checkpoint's model was taught to read, each text as often as it counts.

    These are the captions of its training `photos` and the names of classes that its `content`
    notes; none where the photos are not known.
    """
    captions = [text for photo in photos for text in photo.captions]
    return captions and captions + AS_CAPTIONS * list(content.get("class_names") or ())


def _asks(dual: DualEncoder, tower: bytes) -> Encode:
    """Return what embeds texts by an exported text tower, as they ask for photos."""

    def encode(texts: Texts) -> np.ndarray:
        run = onnx_run(tower, "text")
        out = np.zeros((len(texts), dual.config.embed_dim), np.float32)
        for rows, inputs in zip(*text_inputs(dual, query_texts(texts)), strict=True):
            out[rows] = run(*inputs)
        return as_queries(dual, out)

    return encode


def _with_words(vectors: WordVectors, encode: Encode) -> Encode:
    return lambda texts: vectors.added(texts, encode(texts))


def _try_words(
    sources: Sources,
    dual: DualEncoder,
    files: dict[str, bytes],
    probes: Probes,
    held_out: np.ndarray,
    encode: Encode,
    output: Output,
) -> Trial | None:
    """Return word vectors of the photos learnt from, and how they do on those judged on."""
    learnt = [photo for photo in sources.learnt if photo.captions]
    if not learnt:
        return None
    output.say("fitting word vectors to the photos that the model was trained on")
    images, rows = embed_photos(
        files["image.onnx"], learnt[:BANK], dual.config.image_size, output.track
    )
    captions = [learnt[row].captions for row in rows]
    owned: list[list[str]] = [[] for _ in probes.pixels]
    for text, row in zip(probes.captions, probes.owner, strict=True):
        owned[row].append(text)
    scale = dual.logit_scale.item()
    trial = try_word_vectors(images, captions, held_out, owned, scale, encode)
    if trial is not None:
        what = "kept" if trial.kept else "left out"
        output.say(
            f"{len(trial.vectors.words)} word vectors: mean average precision of {trial.queries} "
            f"short texts {trial.before:.3f} -> {trial.after:.3f}, {what}"
        )
    return trial


def _judged(
    dual: DualEncoder,
    probes: Probes,
    graphs: dict[str, onnx.ModelProto],
    models: dict[str, dict[str, bytes]],
    reasons: dict[str, str],
    options: Options,
    output: Output,
) -> tuple[dict[str, dict[str, Measured]], Verdict]:
    """Return what was measured and the verdict; for size, int8 weights alone are tried as well."""
    measured = measure_towers(dual, probes, models, output.track)
    verdict = judge(measured, probes, _sizes(models), reasons, options.for_size)
    light = [t for t in TOWERS if t in verdict.reasons and t in models.get("int8", {})]
    if options.for_size and light:
        why = verdict.reasons
        output.say(f"{' and '.join(light)}: int8 is refused; trying int8 weights alone")
        models["int8"] |= {t: lighten(graphs[t]).SerializeToString() for t in light}
        measured |= measure_towers(dual, probes, models, output.track, light)
        verdict = judge(measured, probes, _sizes(models), reasons, True)
        verdict.parity["weights_alone"] = {t: why[t] for t in light}
    return measured, verdict


def _sizes(models: dict[str, dict[str, bytes]]) -> dict[str, dict[str, int]]:
    """Return the size in bytes of each model, by kind and tower."""
    return {kind: {t: len(each) for t, each in found.items()} for kind, found in models.items()}


def _facts(verdict: Verdict, calibrated: str | None) -> Json:
    return {
        "precision": verdict.precision,
        "int8_refused": verdict.reasons,
        "parity": {**verdict.parity, "calibration": calibrated},
    }


def make_twins(
    graphs: dict[str, onnx.ModelProto], dual: DualEncoder, calibration: Probes
) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return the int8 towers, and for each that could not be made the reason."""
    _, images = image_inputs(calibration)
    rows, texts = text_inputs(dual, calibration.captions)
    step = max(1, len(rows) // _TEXT_FEEDS)  # from the shortest to the longest
    feeds = {
        "image": [{"pixels": pixels} for (pixels,) in images],
        "text": [{"tokens": tokens, "mask": mask} for tokens, mask in texts[::step]],
    }
    twins: dict[str, bytes] = {}
    reasons: dict[str, str] = {}
    for tower in TOWERS:
        try:
            twin = quantize(graphs[tower], feeds[tower]).SerializeToString()
            make_session(twin, f"{tower}.onnx")
            twins[tower] = twin
        except Exception as error:  # an architecture that the quantizer does not know
            why = " ".join(str(error).split())[:100] or type(error).__name__
            reasons[tower] = f"it could not be made ({why})"
    return twins, reasons


def summary(description: Json, out: Path) -> str:
    """Return what was exported in a few plain lines: precision, nearness, speed, size."""
    found, lines = description["parity"], []
    for tower, what in (("image", "images"), ("text", "captions")):
        kind = description["precision"][tower]
        facts = found[tower][kind]
        reason = description["int8_refused"].get(tower)
        lines.append(
            f"{tower}: {kind}, cosine to the checkpoint mean {facts['cosine_mean']:.4f}, least "
            f"{facts['cosine_min']:.4f}; {facts['per_second']:.0f} {what}/s, "
            f"{facts['times_torch']:.1f} times torch; {facts['bytes'] / 1e6:.1f} MB"
        )
        if reason:
            lines.append(f"{tower}: int8 is not used: {reason}")
        elif tower in found.get("weights_alone", {}):
            reason = found["weights_alone"][tower]
            lines.append(f"{tower}: weights alone are int8; with int8 arithmetic {reason}")
    for kind, recall in found["R@1"].items():
        lines.append(f"R@1 {kind}: {recall['i2t']:.1f} image to text, {recall['t2i']:.1f} back")
    total = sum(each["bytes"] for each in description["files"].values())
    return "\n".join([*lines, f"wrote {out}: {total / 1e6:.1f} MB"])
