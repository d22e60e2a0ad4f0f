"""Runs `pairlight compare` on files that `pairlight evaluate --json` wrote."""

import json

import pytest

from pairlight.cli.main import app, run


@pytest.fixture(scope="module")
def files(sample_manifest, tmp_path_factory):
    """The released model's results on the sample, and those of a model that mixes up captions."""
    folder = tmp_path_factory.mktemp("results")
    argv = ["evaluate", "--model", "pretrained", "--manifest", str(sample_manifest), "--quiet"]
    argv += ["--split", "all", "--json", str(folder / "good.json")]
    assert run(app, argv) == 0
    content = json.loads((folder / "good.json").read_text(encoding="utf-8"))
    content["model"]["name"] = "mixed up"
    for side in ("i2t_ranks", "t2i_ranks"):
        content["queries"][side] = [min(rank + 8, 35) for rank in content["queries"][side]]
    (folder / "bad.json").write_text(json.dumps(content), encoding="utf-8")
    return folder / "bad.json", folder / "good.json"


def compare(*words):
    return run(app, ["compare", *map(str, words)])


def test_tells_which_is_better(files, tmp_path, capsys):
    bad, good = files
    assert compare(bad, good, "--json", tmp_path / "c.json") == 0
    out, err = capsys.readouterr()
    assert err == "" and "B is better: rsum +" in out
    assert "35 images, 175 captions; 10,000 resamples" in out and "so few photos" in out
    result = json.loads((tmp_path / "c.json").read_text())
    (found,) = result["comparisons"]
    assert found["verdict"] == "better" and found["file"] == str(good)
    assert result["baseline"]["model"]["name"] == "mixed up"
    rsum = found["differences"]["rsum"]
    assert rsum["ci95"][0] > 0 and rsum["p_value"] < 0.01 and rsum["share_better"] == 1
    assert f"rsum {rsum['difference']:+.1f} [" in out


def test_a_model_is_no_better_than_itself(files, capsys):
    _, good = files
    assert compare(good, good) == 0
    assert "A and B rank every query alike" in capsys.readouterr().out


def test_several_json_on_stdout_and_quiet(files, capsys):
    bad, good = files
    assert compare(bad, good, bad, "--json", "-", "--seed", "4", "--resamples", "200") == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert (result["seed"], result["resamples"]) == (4, 200)
    assert [each["verdict"] for each in result["comparisons"]] == ["better", "no difference"]
    assert "C: " in err
    assert compare(bad, good, "--quiet") == 0
    assert capsys.readouterr() == ("", "")


def test_other_photos_are_refused(files, sample_manifest, tmp_path, capsys):
    argv = ["evaluate", "--model", "pretrained", "--manifest", str(sample_manifest), "--quiet"]
    assert run(app, [*argv, "--split", "val", "--json", str(tmp_path / "val.json")]) == 0
    assert compare(files[0], tmp_path / "val.json") == 2
    told = capsys.readouterr().err
    assert "measured on other photos or captions (35 images" in told and told.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "not found"),
        ("no json", "is not JSON"),
        ('{"rsum": 1}', "is not what `pairlight evaluate --json FILE` writes"),
        ('{"protocol": {}, "rsum": NaN}', "holds NaN"),
        ('{"protocol": {}, "rsum": 360.8}', "holds no ranks, an older pairlight wrote it"),
    ],
)
def test_files_of_no_use_get_one_line(files, tmp_path, capsys, content, problem):
    other = tmp_path / "other.json"
    if content is not None:
        other.write_text(content)
    assert compare(files[0], other) == 2
    out, err = capsys.readouterr()
    assert out == "" and problem in err and str(other) in err and err.count("\n") == 1


def test_one_file_is_not_enough(files, capsys):
    assert compare(files[0]) == 2
    told = capsys.readouterr().err
    assert "needs two files" in told and told.count("\n") == 1
    assert compare(files[0], files[1], "--resamples", "5") == 2
