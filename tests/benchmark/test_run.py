"""The whole command on real files: real weights on real photos, and every bad input."""

import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import timm
import torch
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import load_file, save_file

from benchmark import run
from benchmark.data.split import open_split
from benchmark.inference import predict
from benchmark.schemas import result as results
from benchmark.schemas.predictions import SCHEMA, read
from benchmark.score import main as score_main
from d3s_dataset.utils.cli import run_command
from tests.benchmark.conftest import age
from tests.conftest import ROOT


def _one(folder, suffix):
    return next(folder.glob(f"*{suffix}"))


def _top1(out) -> float:
    top1 = results.read(_one(out, ".json")).metrics.top1
    assert top1 is not None
    return top1


@pytest.mark.long
def test_real_weights_on_real_photos_give_what_a_plain_loop_gives(photos, real_weights, tmp_path, capsys):
    arguments = ["--model", "mobilenetv2_100", "--checkpoint", str(real_weights), "--dataset", str(photos)]
    run.main([*arguments, "--model-kwargs", "pad_type=same", "--precision", "fp32", "--out", str(tmp_path / "same")])
    shown = capsys.readouterr().out
    assert shown.startswith(
        "toy (guides), config default, split validation: 200 images; "
        "guides (no model has redrawn them), not D3S; labels not human-verified\n"
    )

    # The independent loop: pyarrow, Pillow, timm, one image at a time.
    network = timm.create_model("mobilenetv2_100", pad_type="same").eval()
    network.load_state_dict(load_file(real_weights))
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network))
    right = 0
    for path in sorted((photos / "data").glob("validation-*")):
        for row in pq.read_table(path, columns=["image", "foreground"]).to_pylist():
            image = Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB")
            with torch.no_grad():
                right += network(transform(image)[None]).argmax().item() == row["foreground"]
    assert _top1(tmp_path / "same") == right / 200
    assert _top1(tmp_path / "same") == pytest.approx(0.87, abs=0.005)  # data/README.md


@pytest.mark.long
def test_weights_under_other_arguments_are_worse(photos, real_weights, tmp_path):
    arguments = ["--model", "mobilenetv2_100", "--checkpoint", str(real_weights), "--dataset", str(photos)]
    run.main([*arguments, "--precision", "fp32", "--out", str(tmp_path)])
    assert _top1(tmp_path) == pytest.approx(0.785, abs=0.01)


def test_files_agree_with_each_other_and_with_score(toy, small, tmp_path, capsys):
    out = tmp_path / "results"
    run.main(["--model", f"local-dir:{small}", "--dataset", str(toy), "--precision", "fp32", "--out", str(out)])
    predictions, result = _one(out, ".parquet"), _one(out, ".json")
    shown = capsys.readouterr().out
    assert predictions.stem == result.stem
    assert shown.splitlines()[0] == (
        "toy (sample), config default, split validation: 90 images; drawn sample, not D3S; labels not human-verified"
    )
    assert str(predictions) in shown
    assert str(result) in shown
    split = open_split(toy, "default", "validation")
    made = read(predictions)
    for name in ("key", "foreground", "background", "foreground_source", "background_source"):
        assert getattr(made, name).tolist() == split.labels[name].to_pylist()
    score_main([str(predictions), "--out", str(tmp_path / "again")])
    assert _one(tmp_path / "again", ".json").read_bytes() == result.read_bytes()
    content = json.loads(result.read_text())
    assert content["dataset"]["digest"] == split.manifest.digest
    assert content["model"]["precision"] == "fp32"
    assert content["seconds"] > 0


def test_predictions_are_those_of_the_network_on_each_image_alone(toy, small):
    """Neither batch nor workers matter: at most the last bits of a float sum."""
    from benchmark.models.registry import load

    classifier = load(f"local-dir:{small}")
    split = open_split(toy, "default", "validation")
    made, used = predict.predict(classifier, split, "fp32")
    assert (used.precision, used.agreement) == ("fp32", None)
    table = pa.concat_tables(pq.read_table(path, columns=["image"]) for path in split.paths)
    for i in range(0, 90, 17):
        image = Image.open(io.BytesIO(table["image"][i].as_py()["bytes"])).convert("RGB")
        with torch.inference_mode():
            probability = classifier.network(classifier.transform(image)[None]).softmax(1)[0].numpy()
        np.testing.assert_allclose(made.probability[i], np.sort(probability)[::-1][:5], rtol=1e-4)
        np.testing.assert_allclose(made.loss[i], -np.log(probability[made.foreground[i]]), rtol=1e-4)
        assert set(made.prediction[i]) <= set(np.argsort(-probability)[:6])


def test_limit_measures_the_first_images(toy, small, tmp_path):
    for limit in ([], ["--limit", "70"]):
        run.main(["--model", f"local-dir:{small}", "--dataset", str(toy), *limit, "--out", str(tmp_path)])
    part, whole = (read(path) for path in sorted(tmp_path.glob("*.parquet"), key=lambda path: len(read(path))))
    assert (len(part), len(whole)) == (70, 90)
    for name in SCHEMA.names[:5]:
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[:70])


def test_auto_takes_bf16_only_where_it_agrees(toy, small, monkeypatch):
    from benchmark.models.registry import load

    classifier = load(f"local-dir:{small}")
    split = open_split(toy, "default", "validation")
    monkeypatch.setattr(predict, "fast_bf16", lambda device: False)
    used = predict.predict(classifier, split)[1]
    assert (used.precision, used.agreement, used.devices) == ("fp32", None, ["cpu"])
    monkeypatch.setattr(predict, "fast_bf16", lambda device: True)
    _, used = predict.predict(classifier, split)
    assert used.agreement is not None
    assert used.precision == ("bf16" if used.agreement >= 0.98 else "fp32")
    for least, expected in ((0.0, "bf16"), (1.1, "fp32")):
        monkeypatch.setattr(predict, "LEAST_AGREEMENT", least)
        made, used = predict.predict(classifier, split)
        plain, _ = predict.predict(classifier, split, expected)
        assert used.precision == expected
        assert f"precision {expected}: bf16 and fp32 give the same top-1 on " in run.describe_run(used)
        np.testing.assert_array_equal(made.prediction, plain.prediction)


def test_several_models(toy, small, tmp_path, capsys):
    name = f"local-dir:{small}"
    run.main(["--model", name, name, "--dataset", str(toy), "--limit", "20", "--out", str(tmp_path)])
    assert capsys.readouterr().out.count("worst background:") == 2


@pytest.fixture
def on_hub(monkeypatch, tmp_path):
    """Put a model's folder where the Hub's client keeps repos, as a download would; return its name."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    def put(folder, name: str) -> str:
        commit, repo = "0" * 40, Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}"
        shutil.copytree(folder, repo / "snapshots" / commit)
        (repo / "refs").mkdir()
        (repo / "refs" / "main").write_text(commit)
        return f"hf-hub:{name}"

    return put


def test_a_list_goes_on_after_a_model_that_cannot_be_had(toy, small, on_hub, tmp_path, capsys):
    half = shutil.copytree(small, tmp_path / "half")
    (half / "model.safetensors").unlink()
    broken, whole = on_hub(half, "lab/broken"), on_hub(small, "lab/whole")
    (tmp_path / "list.txt").write_text(f"{broken}\n# a comment\n{whole} drop_rate=0.5\n{whole}\n")
    on = ["--dataset", str(toy), "--limit", "20", "--out", str(tmp_path / "out"), "--model-kwargs", "drop_rate=0.1"]
    with pytest.raises(SystemExit) as ended:
        run_command(run.main, ["--models-file", str(tmp_path / "list.txt"), *on])
    assert ended.value.code == 1
    shown = capsys.readouterr()
    failure, last = shown.err.splitlines()
    assert failure.startswith(f"warning: the weights of {broken} are not cached locally")
    assert last == f"error: 1 of 3 models could not be measured: {broken}"
    assert shown.out.count("worst background:") == 2
    found = [results.read(path).model.kwargs for path in (tmp_path / "out").glob("*.json")]
    assert sorted(each["drop_rate"] for each in found) == [0.1, 0.5]


@pytest.fixture
def two_checkpoints(small, tmp_path) -> Path:
    """A list of one architecture with two files of weights, one of them twice; run from elsewhere."""
    folder = tmp_path / "lists"
    (folder / "weights").mkdir(parents=True)
    state = load_file(small / "model.safetensors")
    save_file(state, folder / "weights" / "first.safetensors")
    torch.save(state | {"fc.bias": state["fc.bias"] + torch.arange(1000) / 100}, folder / "weights" / "second [1].pth")
    age(folder)
    lines = (
        "test_resnet checkpoint=weights/first.safetensors",
        "test_resnet 'checkpoint=weights/second [1].pth'",
        "test_resnet checkpoint=weights/first.safetensors drop_rate=0.5",
    )
    (folder / "mine.txt").write_text("\n".join(lines))
    return folder / "mine.txt"


def test_a_list_measures_two_checkpoints_of_one_architecture(toy, two_checkpoints, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("D3S_CACHE", str(tmp_path / "cache"))
    line = ["--models-file", str(two_checkpoints), "--dataset", str(toy), "--limit", "20", "--precision", "fp32"]
    run.main([*line, "--out", str(tmp_path / "out")])
    shown = capsys.readouterr().out
    assert shown.count("\ntest_resnet with first.safetensors; precision fp32") == 2
    assert "\ntest_resnet with second [1].pth; precision fp32" in shown
    found = [results.read(path) for path in sorted((tmp_path / "out").glob("*.json"))]
    assert sorted(each.model.checkpoint or "" for each in found) == [
        "first.safetensors", "first.safetensors", "second [1].pth"
    ]  # fmt: skip
    assert len({each.model.digest for each in found}) == 2
    digests = {each.model.checkpoint: each.model.digest for each in found}
    for name, checkpoint in (("first.safetensors", "a"), ("second [1].pth", "b")):
        alone = ["--model", "test_resnet", "--checkpoint", str(two_checkpoints.parent / "weights" / name)]
        run.main([*alone, *line[2:], "--out", str(tmp_path / checkpoint)])
        assert results.read(_one(tmp_path / checkpoint, ".json")).model.digest == digests[name]
    names = [path.name for path in (tmp_path / "out").iterdir()]
    assert len(names) == 6
    for name in names:
        assert re.fullmatch(r"test_resnet(-drop_rate-0\.5)?--toy-default-validation-first20--fp32--[0-9a-f]{8}"
                            r"\.(json|parquet)", name)  # fmt: skip
    again = f"import sys; from benchmark.run import main; main({[*line, '--out', str(tmp_path / 'again')]!r}); "
    subprocess.run([sys.executable, "-c", f"{again}assert 'torch' not in sys.modules"], cwd=ROOT, check=True)
    assert sorted(path.name for path in (tmp_path / "again").iterdir()) == sorted(names)


def test_a_checkpoint_of_a_list_is_one_line_where_it_cannot_be_used(toy, two_checkpoints, tmp_path, fails, capsys):
    on = ["--dataset", str(toy), "--limit", "4", "--out", str(tmp_path / "out")]
    listed, weights = ["--models-file", str(two_checkpoints)], two_checkpoints.parent / "weights"
    several = fails(run.main, [*listed, "--checkpoint", "w.pth", *on])
    assert "one model, got 3 models: in a models file, write checkpoint=FILE after each name" in several
    two_checkpoints.write_text("test_resnet checkpoint=weights/first.safetensors\n")
    assert "has its own checkpoint=" in fails(run.main, [*listed, "--checkpoint", "w.pth", *on])
    two_checkpoints.write_text("packaged:tf_efficientnet_lite0 checkpoint=weights/first.safetensors\n")
    assert "comes with its own weights: expected no --checkpoint" in fails(run.main, [*listed, *on])
    torch.save(timm.create_model("test_resnet"), weights / "code.pth")
    two_checkpoints.write_text(
        "test_resnet checkpoint=weights/code.pth\ntest_resnet checkpoint=weights/first.safetensors\n"
    )
    with pytest.raises(SystemExit):
        run_command(run.main, [*listed, *on])
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("warning: ")
    assert "pickled Python objects" in first
    assert last == "error: 1 of 2 models could not be measured: test_resnet with code.pth"
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_bad_arguments(fails):
    assert "expected one of the arguments --model, --models-file, --from" in fails(run.main, [])
    assert "expected one of the arguments --model," in fails(run.main, ["--model", "a", "--models-file", "paper"])
    assert "no list of models 'none': expected paper" in fails(run.main, ["--models-file", "none"])
    assert "expected KEY=VALUE" in fails(run.main, ["--model", "a", "--model-kwargs", "pad_type"])
    assert "invalid choice: 'fp8'" in fails(run.main, ["--model", "a", "--precision", "fp8"])
    assert "above 0" in fails(run.main, ["--model", "a", "--limit", "none"])


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["--limit", "20"], "--limit"),
        (["--config", "default"], "--config"),
        (["--split", "train"], "--split"),
        (["--imagenet", "."], "--imagenet"),
        (["--precision", "auto"], "--precision"),
        (["--out", "results"], "--out"),
        (["--model-kwargs", "pad_type=same"], "--model-kwargs"),
        (["--models-file", "paper"], "--models-file"),
    ],
)
def test_from_refuses_what_it_would_ignore(fails, typed, expected):
    """Also where what was typed is the default: the result may have been made with something else."""
    assert f"{expected} does nothing with --from" in fails(run.main, ["--from", "r.json", *typed])


def test_from_takes_one_name(fails):
    assert "expected one name after --model" in fails(run.main, ["--from", "r.json", "--model", "a", "b"])


def test_bad_data_sets(toy, tmp_path, monkeypatch, fails):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("D3S_REPO", raising=False)
    assert "no data set found" in fails(run.main, ["--model", "resnet18"])
    (tmp_path / "d3s").mkdir()
    assert "no manifest.json" in fails(run.main, ["--model", "resnet18"])
    assert "it has train, validation" in fails(run.main, ["--model", "a", "--dataset", str(toy), "--split", "x"])


def test_bad_models(toy, small, tmp_path, fails):
    on = ["--dataset", str(toy), "--out", str(tmp_path / "out")]
    assert "did you mean resnet18" in fails(run.main, ["--model", f"local-dir:{small}", "resnet81", *on])
    assert "one model, got 2" in fails(run.main, ["--model", "a", "b", "--checkpoint", "w.pth", *on])
    torch.save(timm.create_model("test_resnet"), tmp_path / "whole.pth")
    pickled = ["--model", "test_resnet", "--checkpoint", str(tmp_path / "whole.pth"), *on]
    assert "pickled Python objects" in fails(run.main, pickled)
    save_file({"a": torch.ones(1)}, tmp_path / "a.safetensors")
    other = ["--model", "test_resnet", "--checkpoint", str(tmp_path / "a.safetensors"), *on]
    assert "another architecture than test_resnet" in fails(run.main, other)
    (tmp_path / "file").write_text("")
    assert "cannot make the folder" in fails(
        run.main, ["--model", f"local-dir:{small}", "--dataset", str(toy), "--out", str(tmp_path / "file")]
    )
    assert not list((tmp_path / "out").glob("*"))


def test_logits_that_are_not_finite_name_the_image(toy, small, tmp_path, fails):
    state = load_file(small / "model.safetensors")
    save_file({**state, "fc.bias": torch.full((1000,), torch.nan)}, tmp_path / "nan.safetensors")
    arguments = ["--model", "test_resnet", "--checkpoint", str(tmp_path / "nan.safetensors"), "--dataset", str(toy)]
    shown = fails(run.main, [*arguments, "--precision", "fp32", "--out", str(tmp_path)])
    assert "not finite, first for image 000000000000000003e8" in shown
