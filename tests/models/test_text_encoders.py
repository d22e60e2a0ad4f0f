"""Text encoders: packaged MiniLM, local directories, names, and the tokenizer."""

import json
import shutil

import numpy as np
import pytest
import torch
from transformers import AutoModel, BertConfig, RobertaConfig, T5Config

from pairlight.errors import ConfigError, ModelError
from pairlight.models.text_encoders import TextEncoder, build_text_encoder, rebuild_text_encoder
from pairlight.models.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def minilm():
    return build_text_encoder("minilm").eval()


def sentence(encoder, texts):
    tokenizer = Tokenizer(encoder.tokenizer, 40)
    tokens, mask = tokenizer.pad([each.ids for each in tokenizer(texts)])
    with torch.no_grad():
        hidden = encoder(tokens, mask)
    assert hidden.shape == (*tokens.shape, encoder.dim)
    weight = mask.unsqueeze(-1)
    pooled = ((hidden * weight).sum(1) / weight.sum(1)).numpy()
    return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)


def test_minilm_knows_what_is_alike(minilm):
    a, b, c = sentence(minilm, ["a puppy on the beach", "a dog by the sea", "two men cook pizza"])
    assert a @ b > 0.5 > a @ c


def test_padding_changes_nothing(minilm):
    alone = sentence(minilm, ["a dog"])[0]
    beside = sentence(minilm, ["a dog", "a much longer caption with many more words in it"])[0]
    np.testing.assert_allclose(alone, beside, atol=1e-5)


def test_a_local_directory(tiny_bert):
    encoder = build_text_encoder(str(tiny_bert))
    assert encoder.dim == 32 and len(encoder.layers) == 2
    sentence(encoder, ["a dog"])


def test_rebuilt_without_its_files(tiny_bert):
    encoder = build_text_encoder(str(tiny_bert)).eval()
    twin = rebuild_text_encoder(encoder.config, encoder.tokenizer).eval()
    twin.load_state_dict(encoder.state_dict())
    texts = ["a dog", "two men"]
    np.testing.assert_array_equal(sentence(encoder, texts), sentence(twin, texts))


@pytest.mark.parametrize("config", [BertConfig, RobertaConfig])
def test_positions_are_all_there_are(config):
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    sizes |= {"intermediate_size": 8, "max_position_embeddings": 12, "vocab_size": 20}
    encoder = TextEncoder(AutoModel.from_config(config(**sizes)), "")
    assert encoder.positions == (12 if config is BertConfig else 10)
    tokens = torch.full((1, encoder.positions), 5)
    encoder(tokens, tokens.bool())
    with pytest.raises((IndexError, RuntimeError)):
        more = torch.full((1, encoder.positions + 1), 5)
        encoder(more, more.bool())


def test_names_that_cannot_be_one():
    with pytest.raises(ConfigError, match="choose from minilm, a directory"):
        build_text_encoder("/no/such/folder")


def test_an_empty_directory_says_what_it_needs(tmp_path):
    with pytest.raises(ModelError, match="it needs config.json, tokenizer.json"):
        build_text_encoder(str(tmp_path))


def test_damaged_and_foreign_directories(tiny_bert, tmp_path):
    """Each is told in one line: cut weights, a list for a configuration, no encoder at all."""
    for how in ("cut", "list", "t5"):
        folder = tmp_path / how
        shutil.copytree(tiny_bert, folder)
        weights, config = folder / "model.safetensors", folder / "config.json"
        if how == "cut":
            weights.write_bytes(weights.read_bytes()[:-100])
        elif how == "list":
            config.write_text("[1]")
        else:
            T5Config(
                vocab_size=400, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2
            ).save_pretrained(folder)
        with pytest.raises(ModelError) as told:
            build_text_encoder(str(folder), pretrained=how == "cut")
        assert "\n" not in str(told.value) and str(folder) in str(told.value)


def test_code_in_a_directory_is_not_run(tiny_bert, tmp_path, monkeypatch):
    folder = tmp_path / "code"
    shutil.copytree(tiny_bert, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.C", "AutoModel": "own.M"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass C: pass\n")
    monkeypatch.setattr("builtins.input", lambda *args: "y")
    with pytest.raises(ModelError):
        build_text_encoder(str(folder))
    assert not (tmp_path / "ran").exists()


def test_a_name_out_of_reach_says_how_to_get_it(monkeypatch):
    from pairlight.models import text_encoders

    def no_network(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(text_encoders.AutoTokenizer, "from_pretrained", no_network)
    with pytest.raises(ModelError, match="save_pretrained.DIR., then set model.text_encoder=DIR"):
        build_text_encoder("bert-base-uncased")


def test_tokens_are_cut_and_keep_their_words(minilm):
    tokenizer = Tokenizer(minilm.tokenizer, 6)
    (tokens,) = tokenizer(["unbelievable skateboarders jump over everything there is"])
    assert len(tokens.ids) == len(tokens.words) == 6
    assert tokens.words[0] is None and tokens.words[-1] is None
    assert tokenizer.mask_id == 103 and tokenizer.pad_id == 0


def test_not_a_tokenizer():
    with pytest.raises(ModelError, match="not a tokenizer.json"):
        Tokenizer("{}", 8)


def test_lower_and_upper_make_the_whole(tiny_bert):
    encoder = build_text_encoder(str(tiny_bert)).eval()
    tokens = torch.randint(5, 90, (3, 7))
    mask = torch.arange(7) < torch.tensor([[7], [4], [2]])
    assert encoder.divisible
    with torch.no_grad():
        want = encoder(tokens, mask)
        for layers in (0, 1, 2):
            found = encoder.upper(encoder.lower(tokens, mask, layers), mask, layers)
            assert torch.allclose(found[mask], want[mask], atol=1e-5)
