"""The Python API against the commands, on real predictions: one model in every form gives the same numbers."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import torch

import benchmark
from benchmark import run
from benchmark.data.split import open_split
from benchmark.score import main as score_main
from d3s_dataset.errors import ModelError, ResultError
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def network(small):
    import timm

    return timm.create_model(f"local-dir:{small}", pretrained=True).eval()


@pytest.fixture(scope="module")
def measured(toy, small, tmp_path_factory):
    """What the command says of a small model, in fp32."""
    out = tmp_path_factory.mktemp("run")
    run.main(["--model", f"local-dir:{small}", "--dataset", str(toy), "--precision", "fp32", "--out", str(out)])
    return benchmark.load_result(next(out.glob("*.json")))


@pytest.fixture(scope="module")
def logits(toy, network):
    """(n, 1000) float32 of the same model: a plain loop of timm over the images in their order."""
    import timm

    from d3s_dataset.utils.pixels import rgb

    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network))
    with torch.inference_mode():
        rows = [network(transform(rgb(each))[None])[0] for each in open_split(toy, "default", "validation").images()]
    return torch.stack(rows).numpy()


@pytest.fixture(scope="module")
def keys(toy):
    return open_split(toy, "default", "validation").key.astype(str)


def best(logits, count):
    return np.argsort(-logits, axis=1, kind="stable")[:, :count]


def softmax(logits):
    e = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def accuracies(result):
    """Top-1 with its interval and the like, of all images and of each background."""
    rows = [result.metrics, *result.by_background.values()]
    return [(each.n, each.top1, each.ci95) for each in rows] + [result.metrics.worst_background]


def write_csv(folder, keys, logits):
    pa.csv.write_csv(pa.table({"key": keys, "prediction": best(logits, 1)[:, 0]}), folder / "p.csv")
    return folder / "p.csv"


def write_parquet(folder, keys, logits):
    pq.write_table(pa.table({"prediction": best(logits, 5).tolist(), "key": keys}), folder / "p.parquet")
    return folder / "p.parquet"


def write_npz(folder, keys, logits):
    np.savez(folder / "p.npz", key=keys, logits=logits)
    return folder / "p.npz"


FORMS = {
    "CSV, top-1": write_csv,
    "Parquet, five": write_parquet,
    "NPZ, logits": write_npz,
    "DataFrame": lambda _, keys, logits: pd.DataFrame({"key": keys, "prediction": best(logits, 1)[:, 0]}),
    "DataFrame of lists": lambda _, keys, logits: pd.DataFrame({"key": keys, "prediction": best(logits, 3).tolist()}),
    "polars": lambda _, keys, logits: pl.DataFrame({"key": keys, "prediction": best(logits, 1)[:, 0]}),
    "numbered columns": lambda _, keys, logits: pd.DataFrame(
        {"key": keys, **{f"probability_{i}": each for i, each in enumerate(softmax(logits).T)}}
    ),
    "mapping": lambda _, keys, logits: {"key": keys.tolist(), "probability": softmax(logits)},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_one_model_s_predictions_in_any_form_and_order_give_the_numbers_of_run(
    toy, measured, keys, logits, tmp_path, form
):
    order = np.random.default_rng(0).permutation(len(keys))
    given = form(tmp_path, keys[order], logits[order])
    result = benchmark.score(given, toy, model_name="mine")
    assert accuracies(result) == accuracies(measured)
    assert result.top5 in (None, measured.top5)


@pytest.mark.parametrize("kind", ["logits", "probabilities", "classes", "five", "tensor"])
def test_an_array_is_in_the_order_of_the_split(toy, measured, logits, kind):
    given = {
        "logits": logits,
        "probabilities": softmax(logits),
        "classes": best(logits, 1)[:, 0],
        "five": best(logits, 5),
        "tensor": torch.from_numpy(logits),
    }[kind]
    result = benchmark.score(given, toy, model_name="mine")
    assert accuracies(result) == accuracies(measured)
    if kind != "classes":
        assert result.top5 == measured.top5


def test_what_scores_hold_is_computed_and_what_classes_lack_is_null(toy, measured, keys, logits, tmp_path):
    whole = benchmark.score({"key": keys, "logits": logits}, toy, model_name="mine").metrics
    for name in ("ece", "brier", "loss"):
        assert getattr(whole, name) == pytest.approx(getattr(measured.metrics, name), abs=1e-5)
    assert whole.further["aurc"] == pytest.approx(measured.metrics.further["aurc"], abs=1e-4)
    one = benchmark.score({"key": keys, "prediction": best(logits, 1)}, toy, model_name="mine", out=tmp_path)
    metrics = one.metrics
    assert [one.top5, metrics.ece, metrics.brier, metrics.loss, metrics.further["aurc"]] == [None] * 5
    assert metrics.averages.per_image.top5 is None
    said = json.loads(next(tmp_path.glob("*.json")).read_text())["metrics"]
    assert said["top5"] is None
    assert said["ece"] is None
    best_two = np.sort(softmax(logits), axis=1)[:, :-3:-1]
    two = benchmark.score({"key": keys, "prediction": best(logits, 2), "probability": best_two}, toy, model_name="mine")
    assert two.metrics.ece == pytest.approx(measured.metrics.ece, abs=1e-5)
    assert [two.top5, two.metrics.loss] == [None, None]


def change(columns, **others):
    return {**columns, **others}


BAD = {
    "doubled": (lambda c: change(c, key=[c["key"][1], *c["key"][1:]]), "1 key twice, first '0"),
    "missing": (
        lambda c: {name: each[1:] for name, each in c.items()},
        "1 image of toy, config default, split validation without a prediction",
    ),
    "unknown": (lambda c: change(c, key=["who", *c["key"][1:]]), "1 key unknown to toy, config default, split"),
    "999 classes": (lambda c: {"key": c["key"], "logits": c["logits"][:, 1:]}, r"expected \(n, 1000\) numbers in log"),
    "1001 classes": (
        lambda c: {"key": c["key"], "logits": np.pad(c["logits"], ((0, 0), (1, 0)))},
        "leave out the background class, which is TensorFlow's first",
    ),
    "floats as labels": (
        lambda c: {"key": c["key"], "prediction": c["logits"][:, 0]},
        "expected whole numbers 0..999 .class indices. in prediction, got float32",
    ),
    "names as labels": (lambda c: {"key": c["key"], "prediction": ["tench"] * len(c["key"])}, "expected whole numbers"),
    "NaN": (lambda c: change(c, logits=np.where(c["logits"] > 0, np.nan, 0)), "rows of logits hold NaN or infinity"),
    "class 1000": (lambda c: {"key": c["key"], "prediction": np.full(len(c["key"]), 1000)}, "classes 0..999.*got 1000"),
    "class -1": (lambda c: {"key": c["key"], "prediction": np.full(len(c["key"]), -1)}, "classes 0..999.*got -1"),
    "six classes": (lambda c: {"key": c["key"], "prediction": best(c["logits"], 6)}, "1 to 5 classes a row"),
    "twice a class": (lambda c: {"key": c["key"], "prediction": [[1, 1]] * len(c["key"])}, "a class twice"),
    "percent": (
        lambda c: {"key": c["key"], "probability": 100 * softmax(c["logits"])},
        "with sum 1, got 100: pass",
    ),
    "not scaled": (
        lambda c: {"key": c["key"], "probability": softmax(c["logits"]) / 2},
        "of probability with sum",
    ),
    "two answers": (lambda c: change(c, prediction=best(c["logits"], 1)), "expected a column key and one of"),
    "nothing": (lambda c: {"key": c["key"]}, "expected a column key and one of prediction, probability, logits"),
    "no keys": (lambda c: {"logits": c["logits"][:9]}, "expected a column key, or a row for each of the 90 images"),
    "ragged": (lambda c: {"key": c["key"], "prediction": [[1], *[[1, 2]] * (len(c["key"]) - 1)]}, "rows of one length"),
    "lengths": (lambda c: change(c, key=c["key"][:5]), "expected columns of one length"),
    "empty": (lambda c: {}, "got nothing"),
}


@pytest.mark.parametrize(("spoil", "says"), BAD.values(), ids=BAD.keys())
def test_what_is_no_prediction_is_one_line(toy, keys, logits, spoil, says):
    with pytest.raises(ResultError, match=says) as caught:
        benchmark.score(spoil({"key": keys.tolist(), "logits": logits}), toy, model_name="mine")
    assert str(caught.value).isprintable()


def test_files_that_cannot_be_read_are_one_line(toy, tmp_path):
    contents = {"a.csv": b"", "b.csv": b"key,prediction\n", "c.parquet": b"PAR1", "d.npz": b"PK", "e.txt": b"x"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    np.savez(tmp_path / "f.npz", key=np.array([object()]), prediction=np.zeros(1, int))
    for name in [*contents, "f.npz", "none.csv"]:
        with pytest.raises(ResultError) as caught:
            benchmark.score(tmp_path / name, toy, model_name="mine")
        assert name in str(caught.value)
        assert str(caught.value).isprintable()


def test_a_key_of_digits_is_text(make, toy, tmp_path):
    release = make.write_release(
        tmp_path / "d3s",
        {"validation": [make.record(i, make.jpeg(np.zeros((8, 8, 3), np.uint8)), 0, 0, key=key)
                        for i, key in enumerate(["00000000000000000012", "0000000000000000012e"])]},
    )  # fmt: skip
    (tmp_path / "p.csv").write_text("key,prediction\n0000000000000000012e,0\n00000000000000000012,1\n")
    assert benchmark.score(tmp_path / "p.csv", release, model_name="mine").top1 == 0.5


def test_the_command_writes_what_compare_and_load_take(toy, keys, logits, measured, tmp_path, capsys, fails):
    path = write_csv(tmp_path, keys, logits)
    line = [str(path), "--dataset", str(toy), "--model-name", "mine", "--out", str(tmp_path / "out")]
    score_main(line)
    assert capsys.readouterr().out.startswith("predictions:mine on toy (sample)")
    written = next((tmp_path / "out").glob("predictions_mine--*.json"))
    again = benchmark.load_result(written)
    assert accuracies(again) == accuracies(measured)
    assert accuracies(benchmark.load_result(written.with_suffix(".parquet"))) == accuracies(measured)
    assert benchmark.compare(written, measured).change.change == 0
    score_main([str(written.with_suffix(".parquet")), "--out", str(tmp_path / "third")])
    assert (tmp_path / "third" / written.name).read_bytes() == written.read_bytes()
    assert "made elsewhere (predictions:mine): there are no weights" in fails(
        run.main, ["--from", str(written), "--dataset", str(toy)]
    )
    assert "pass --dataset and --model-name" in fails(score_main, [str(path)])
    assert "--model-name goes with --dataset" in fails(score_main, [str(path), "--model-name", "mine"])
    assert "expected one file and --model-name" in fails(score_main, line[:3])


def test_predictions_of_fewer_classes_are_version_2_and_whole_ones_stay_as_they_were(toy, keys, logits, tmp_path):
    from benchmark.schemas import predictions as files

    for count, version in ((1, b"2"), (None, None)):
        values = {"logits": logits} if count is None else {"prediction": best(logits, count)}
        path = benchmark.score({"key": keys, **values}, toy, model_name="mine").save(tmp_path)
        metadata = pq.read_schema(path.with_suffix(".parquet")).metadata
        assert metadata.get(b"d3s_schema_version") == version
        assert files.read(path.with_suffix(".parquet")).whole == (count is None)


def test_a_network_in_memory_gives_the_numbers_of_the_command_and_is_left_as_it_is(toy, network, measured):
    network.train()
    before = {name: each.clone() for name, each in network.state_dict().items()}
    result = benchmark.evaluate(network, toy, precision="fp32")
    assert network.training
    assert all(each.requires_grad for each in network.parameters())
    assert all(torch.equal(each, before[name]) for name, each in network.state_dict().items())
    assert result.metrics == measured.metrics
    np.testing.assert_array_equal(result.predictions.probability, measured.predictions.probability)
    assert result.record.model.digest == measured.record.model.digest


def test_a_name_gives_the_numbers_of_the_command(toy, small, measured, tmp_path, monkeypatch):
    monkeypatch.setenv("D3S_CACHE", str(tmp_path / "cache"))
    result = benchmark.evaluate(f"local-dir:{small}", toy, precision="fp32", cache=False, out=tmp_path / "out")
    assert result.metrics == measured.metrics
    assert not list((tmp_path / "cache").rglob("*.npz"))
    assert benchmark.load_result(next((tmp_path / "out").glob("*.json"))).metrics == measured.metrics


class Means:
    """A classifier of numpy alone: mean colours times fixed weights."""

    def __init__(self):
        self.weights = np.random.default_rng(0).normal(size=(3, 1000))

    def __call__(self, batch):
        return np.asarray(batch, dtype=np.float64).mean((1, 2)) @ self.weights


def test_a_function_of_numpy_gives_what_scoring_its_logits_gives(toy):
    from d3s_dataset.utils.pixels import rgb

    images = [np.asarray(rgb(each)) for each in open_split(toy, "default", "validation").images()]
    expected = benchmark.score(Means()(np.stack(images)), toy, model_name="means")
    arrays = benchmark.evaluate(Means(), toy, transform=np.asarray)
    pictures = benchmark.evaluate(lambda images: Means()(np.stack([np.asarray(each) for each in images])), toy)
    assert arrays.metrics == pictures.metrics == expected.metrics
    assert arrays.record.model.name.endswith(":Means")
    part = benchmark.evaluate(Means(), toy, transform=np.asarray, limit=7)
    assert part.n == 7
    assert part.record.dataset.split == "validation[:7]"


def test_a_function_of_torch_gets_tensors(toy, network, measured):
    import timm

    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network))
    result = benchmark.evaluate(lambda batch: network.eval()(batch), toy, transform=transform)
    assert accuracies(result) == accuracies(measured)


WRONG = {
    "a shape": (
        lambda images: np.zeros((len(images), 10)),
        {},
        r"an answer of shape \(32, 10\): expected \(32, 1",
    ),
    "NaN": (lambda images: np.full((len(images), 1000), np.nan), {}, "a logit that is not finite"),
    "no model": (3, {}, "expected a model's name, a torch.nn.Module or a function from images to logits, got int"),
    "a precision": (lambda images: 0, {"precision": "bf16"}, "do nothing for a function"),
    "another precision": ("resnet18", {"precision": "half"}, "of auto, fp32, tf32, bf16, got .half."),
    "a network alone": (torch.nn.Linear(2, 2), {}, "is a Linear without its transform"),
    "a transform": ("resnet18", {"transform": np.asarray}, "resnet18 has its own transform"),
    "no name": ("resnet1888", {}, "unknown model 'resnet1888'"),
}


@pytest.mark.parametrize(("model", "more", "says"), WRONG.values(), ids=WRONG.keys())
def test_what_is_no_model_is_one_line(toy, model, more, says):
    with pytest.raises(ModelError, match=says):
        benchmark.evaluate(model, toy, **more)


def test_an_output_that_is_no_tensor_says_what_to_do(toy):
    class Output(torch.nn.Module):
        def forward(self, pixels):
            return {"logits": pixels}

    transform = lambda image: torch.zeros(3, 8, 8)  # noqa: E731
    with pytest.raises(ModelError, match=r"gave a dict: expected a tensor of logits; wrap"):
        benchmark.evaluate(Output(), toy, transform=transform)


def test_a_result_in_a_notebook(measured, tmp_path):
    import matplotlib as mpl

    mpl.use("agg")
    table = measured.to_pandas()
    assert table.loc["all images", "top1"] == measured.top1
    assert list(table.index[:-1]) == list(measured.by_background)
    assert len(table) == len(measured.by_background) + 1
    assert f"top-1 {100 * measured.top1:.1f} %" in repr(measured)
    odd = measured.record.model.model_copy(update={"name": "<script>x", "tag": None})
    shown = benchmark.Result(measured.record.model_copy(update={"model": odd}), measured.predictions)._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;x" in shown
    drawn = [line.get_xdata()[0] for line in measured.plot().lines if line.get_marker() == "o"]
    lowest = min(each.top1 for each in measured.by_background.values() if each.top1 is not None)
    assert drawn == sorted(drawn)
    assert drawn[0] == pytest.approx(100 * lowest)
    found = benchmark.compare(measured, measured)
    assert found.to_pandas().loc["all images", "change"] == 0
    assert "all images" in found._repr_html_()
    assert json.loads(found.save(tmp_path / "new" / "c.json").read_text())["n"] == measured.n
    assert len(found.plot().lines) > len(found.by_background)


def test_the_examples_are_true(sample_release, tmp_path, monkeypatch):
    import doctest
    from importlib import import_module

    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "d3s").symlink_to(sample_release)
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(import_module("benchmark.api.measure"))
    assert found.failed == 0
    assert found.attempted >= 12


def test_the_package_names_its_functions_and_imports_nothing_heavy():
    code = (
        "import sys, time\nimport benchmark\nassert time.process_time() < 0.5\n"
        "from benchmark.score import main\nimport benchmark.compare\n"
        "assert callable(benchmark.score) and callable(benchmark.compare) and callable(benchmark.load_result)\n"
        "assert {'evaluate', 'score', 'Result'} <= set(benchmark.__all__) <= set(dir(benchmark))\n"
        "print(*({'torch', 'timm', 'scipy', 'pandas', 'datasets'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "\n"), done.stderr
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        benchmark.nothing  # noqa: B018
