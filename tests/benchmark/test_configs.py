"""Real runs on two configs in two precisions: nothing overwrites, joins or reruns what it should not."""

import json
import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmark import report, run
from benchmark.compare import main as compare_main
from benchmark.models import registry
from benchmark.schemas import result
from benchmark.schemas.predictions import read
from benchmark.score import main as score_main
from d3s_dataset import manifest as manifests
from d3s_dataset.errors import ModelError

CONFIGS, PRECISIONS = ("default", "control_scale"), ("fp32", "bf16")


@pytest.fixture(scope="module")
def runs(controlled, small, tmp_path_factory):
    """Result files by (config, precision), all in one folder."""
    out = tmp_path_factory.mktemp("runs")
    line = ["--model", f"local-dir:{small}", "--dataset", str(controlled), "--out", str(out)]
    for config in CONFIGS:
        for precision in PRECISIONS:
            run.main([*line, "--config", config, "--precision", precision])
    found = {path: result.read(path) for path in out.glob("*.json")}
    paths = {(each.dataset.config, each.model.precision): path for path, each in found.items()}
    return SimpleNamespace(out=out, paths=paths)


def test_every_run_has_its_own_files(runs, controlled):
    assert set(runs.paths) == {(config, precision) for config in CONFIGS for precision in PRECISIONS}
    assert len(list(runs.out.glob("*.parquet"))) == 4
    manifest = manifests.read(controlled)
    for (config, precision), path in runs.paths.items():
        facts = result.read(path).dataset
        assert (facts.digest, facts.release) == (manifest.digest_of(config), manifest.digest)
        assert f"-{config}-validation--{precision}--" in path.name


def test_several_configs_in_one_command_give_the_files_of_single_ones(runs, controlled, small, tmp_path, monkeypatch):
    """A model is loaded once, and only the seconds differ."""
    monkeypatch.setenv("D3S_CACHE", str(tmp_path / "cache"))
    loaded, load = [], registry.load
    monkeypatch.setattr(registry, "load", lambda name, *others: loaded.append(name) or load(name, *others))
    line = ["--model", f"local-dir:{small}", "--dataset", str(controlled), "--out", str(tmp_path / "out")]
    run.main([*line, "--precision", "fp32", "--config", *CONFIGS])
    assert len(loaded) == 1
    for config in CONFIGS:
        single = runs.paths[config, "fp32"]
        one, other = (json.loads(path.read_text()) for path in (single, tmp_path / "out" / single.name))
        assert one | {"seconds": 0} == other | {"seconds": 0}
        one, other = (vars(read(path.with_suffix(".parquet"))) for path in (single, tmp_path / "out" / single.name))
        for name in one.keys() - {"provenance"}:
            np.testing.assert_array_equal(one[name], other[name])
    assert len(list((tmp_path / "out").iterdir())) == 4


@pytest.mark.parametrize(
    ("typed", "said"), [(("default", "none"), "'none'"), (("default", "default"), "default twice")]
)
def test_a_wrong_config_among_several_is_told_before_any_work(controlled, small, tmp_path, fails, typed, said):
    line = ["--model", f"local-dir:{small}", "--dataset", str(controlled), "--out", str(tmp_path / "out")]
    assert said in fails(run.main, [*line, "--config", *typed])
    assert not (tmp_path / "out").exists()


def test_a_model_that_fails_is_told_once_for_all_configs(controlled, small, tmp_path, capsys):
    """The other model is measured on each."""
    damaged = Path(shutil.copytree(small, tmp_path / "damaged"))
    (damaged / "model.safetensors").write_bytes(b"no weights")
    line = ["--dataset", str(controlled), "--out", str(tmp_path / "out"), "--precision", "fp32"]
    with pytest.raises(ModelError, match="1 of 2 models"):
        run.main([*line, "--model", f"local-dir:{damaged}", f"local-dir:{small}", "--config", *CONFIGS])
    assert capsys.readouterr().err.count("warning: ") == 1
    assert {result.read(path).dataset.config for path in (tmp_path / "out").glob("*.json")} == set(CONFIGS)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_each_is_run_again_on_its_own_images(runs, controlled, small, config, precision, capsys):
    path = runs.paths[config, precision]
    run.main(["--from", str(path), "--dataset", str(controlled), "--model", f"local-dir:{small}"])
    said = f"run again in {precision} on 40 images: the same prediction on every image"
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("config", CONFIGS)
def test_other_images_are_refused_on_every_config(runs, make, controlled, small, config, tmp_path, fails):
    rows = [make.record(i, b"other", i // 5 * 83, i % 5) for i in range(40)]
    other = make.write_release(
        tmp_path / "d3s", {"validation": rows}, kind="d3s", controls={CONFIGS[1]: {"validation": rows}}
    )
    line = ["--from", str(runs.paths[config, "fp32"]), "--dataset", str(other), "--model", f"local-dir:{small}"]
    assert "holds other images (digest" in fails(run.main, line)


def test_a_name_from_a_result_is_never_code_or_a_folder(runs, controlled, tmp_path, monkeypatch, fails):
    path = runs.paths["default", "fp32"]
    on = ["--dataset", str(controlled)]
    assert "code and folders load only when typed as --model" in fails(run.main, ["--from", str(path), *on])
    assert "expected the model of" in fails(run.main, ["--from", str(path), *on, "--model", "resnet18"])
    called = []
    monkeypatch.setattr(os, "system", called.append)
    content = json.loads(path.read_bytes())
    content["model"] |= {"name": "os:system", "kwargs": {"command": "touch here"}}
    (tmp_path / "r.json").write_text(json.dumps(content))
    (tmp_path / "r.parquet").write_bytes(path.with_suffix(".parquet").read_bytes())
    assert "names the model 'os:system'" in fails(run.main, ["--from", str(tmp_path / "r.json"), *on])
    assert not called


def test_the_drop_is_that_of_one_precision(runs, tmp_path, capsys, fails):
    files = {each: str(path.with_suffix(".parquet")) for each, path in runs.paths.items()}
    for precision in PRECISIONS:
        score_main([*(files[config, precision] for config in CONFIGS), "--out", str(tmp_path)])
    capsys.readouterr()
    chains = {path: result.Chain.model_validate_json(path.read_bytes()) for path in tmp_path.glob("*-chain-*.json")}
    assert {each.model.precision for each in chains.values()} == set(PRECISIONS)
    for found in chains.values():
        top1 = [result.read(runs.paths[config, found.model.precision]).metrics.top1 for config in CONFIGS]
        assert found.steps["background"]["all images"].change == pytest.approx(top1[0] - top1[1])
    mixed = [files["default", "fp32"], files["control_scale", "bf16"], "--out", str(tmp_path)]
    assert "expected files of one precision" in fails(score_main, mixed)


def test_compare_tells_precisions_and_configs_apart(runs, capsys):
    pair = [runs.paths["default", precision] for precision in PRECISIONS]
    compare_main([*map(str, pair)])
    first, second = capsys.readouterr().out.splitlines()[:2]
    assert re.match(r"A test_resnet\S* \(fp32\): toy \(d3s\), config default", first)
    assert re.match(r"B test_resnet\S* \(bf16\): toy \(d3s\), config default", second)
    compare_main([str(runs.paths["default", "fp32"]), str(runs.paths["control_scale", "fp32"])])
    assert "config control_scale, not D3S" in capsys.readouterr().out.splitlines()[1]


def test_a_report_joins_each_precision_with_its_own_controls(runs, tmp_path, fails):
    out = ["--out", str(tmp_path / "report.html")]
    report.main([*map(str, runs.paths.values()), *out])
    text = (tmp_path / "report.html").read_text()
    assert len(set(re.findall(r"test_resnet\S* \((?:fp32|bf16)\)", text))) == 2
    lonely = [str(runs.paths["default", "fp32"]), str(runs.paths["control_scale", "bf16"])]
    assert "expected the result of the same run of the model" in fails(report.main, [*lonely, *out])


def test_pages_call_guides_no_numbers_of_d3s(controlled, small, tmp_path, capsys):
    line = ["--model", f"local-dir:{small}", "--dataset", str(controlled), "--precision", "fp32", "--config", "guides"]
    run.main([*line, "--out", str(tmp_path)])
    warning = "guides (no model has redrawn them), not D3S"
    assert warning in capsys.readouterr().out.splitlines()[0]
    path = next(tmp_path.glob("*.json"))
    report.main([str(path), "--out", str(tmp_path / "report.html")])
    assert f"{warning}: these are no numbers of D3S" in (tmp_path / "report.html").read_text()
