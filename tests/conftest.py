"""Tiny encoders, the bundled sample as a manifest, and where the real Flickr8k is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pairlight.config import AugmentConfig, ModelConfig, Recipe, StageConfig, TrainConfig
from pairlight.data.manifest import read_manifest, write_manifest
from pairlight.data.prepare import prepare
from pairlight.data.split import split_manifest
from pairlight.sample import sample_dir


@pytest.fixture(scope="session")
def command_without():
    """Return a function that runs a command where `missing` modules cannot be imported."""

    def run(missing, *argv, cwd=None):
        # None in sys.modules makes `import torch` fail just as an install without it does.
        code = (
            f"import sys\nsys.modules.update(dict.fromkeys({missing!r}))\n"
            "from pairlight.cli.main import app, run\n"
            f"sys.exit(run(app, {list(map(str, argv))!r}))"
        )
        command = [sys.executable, "-c", code]
        return subprocess.run(command, capture_output=True, text=True, cwd=cwd)

    return run


@pytest.fixture(scope="session")
def flickr8k() -> Path:
    """The folder of the real Flickr8k; tests that need it skip, and say so, without it."""
    folder = os.environ.get("PAIRLIGHT_FLICKR8K")
    if not folder:
        pytest.skip("PAIRLIGHT_FLICKR8K does not name the folder of the Flickr8k photos")
    return Path(folder)


@pytest.fixture(scope="module")
def browser():
    """Headless chromium; tests that need it skip, and say so, where it is not installed.

    Of one module: while it runs, no other event loop can.
    """
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = os.environ.get("PAIRLIGHT_CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed (apt-get install chromium)")
    with api.sync_playwright() as running:
        options = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = running.chromium.launch(executable_path=chromium, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def sample_manifest(tmp_path_factory) -> Path:
    """The 35 bundled photos, prepared, 21 for training and 7 each for val and test."""
    manifest = tmp_path_factory.mktemp("sample") / "sample.jsonl"
    prepare(sample_dir() / "images", sample_dir() / "captions.json", manifest)
    split_manifest(manifest, ratios=(0.6, 0.2, 0.2), seed=0)
    return manifest


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory, sample_manifest) -> Path:
    """A directory with a two-layer random BERT, as save_pretrained writes it."""
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("tiny_bert")
    trained = BertWordPieceTokenizer()
    captions = [text for photo in read_manifest(sample_manifest) for text in photo.captions]
    trained.train_from_iterator(captions, vocab_size=400, show_progress=False)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=trained.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
    )
    BertModel(config).save_pretrained(folder)
    trained.save(str(folder / "tokenizer.json"))
    BertTokenizerFast(tokenizer_file=str(folder / "tokenizer.json")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_recipe(tiny_bert) -> Recipe:
    """Random encoders small enough that an epoch on the sample takes a second."""
    return Recipe(
        name="tiny",
        model=ModelConfig(
            image_encoder="timm:test_efficientnet",
            text_encoder=str(tiny_bert),
            pretrained=False,
            embed_dim=16,
            image_size=64,
            max_tokens=16,
        ),
        augment=AugmentConfig(word_dropout=0.1),
        train=TrainConfig(precision="fp32", chunk=4),
        stages=(
            StageConfig(name="heads", epochs=2, batch_size=8),
            StageConfig(
                name="finetune",
                epochs=2,
                batch_size=8,
                image_blocks=2,
                text_layers=1,
                lr=1e-3,
                image_lr=1e-3,
                text_lr=1e-3,
            ),
        ),
    )


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory, tiny_recipe, sample_manifest):
    """A finished run of the tiny recipe: its folder and its result."""
    from pairlight.train.trainer import train

    out = tmp_path_factory.mktemp("tiny_run")
    return out, train(sample_manifest, tiny_recipe, out, device="cpu")


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_run) -> Path:
    """A checkpoint that a run of the tiny recipe wrote."""
    return tiny_run[1].best


@pytest.fixture
def copy_of_manifest(tmp_path, sample_manifest):
    """Return a function that writes the sample's manifest with each photo changed by `change`."""

    def write(change) -> Path:
        path = tmp_path / "changed.jsonl"
        write_manifest(path, [change(photo) for photo in read_manifest(sample_manifest)])
        return path

    return write
