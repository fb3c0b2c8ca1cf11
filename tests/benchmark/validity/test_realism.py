"""The command: results of many models against published accuracies, with controls and measured real sets."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.metrics.compute import result_of
from benchmark.realism import main, realism
from benchmark.schemas import result as results
from benchmark.schemas.validity import Agreement, Realism, RealResult, RealScore
from benchmark.validity.families import family_of
from benchmark.validity.published import shipped
from benchmark.validity.verdict import decide
from d3s_dataset.errors import ResultError
from d3s_dataset.manifest import to_json
from tests.conftest import ROOT
from tests.support.results import dataset, model

PUBLISHED = shipped()
MODELS = [name for name in PUBLISHED.models if name in PUBLISHED.top1["imagenet"]]


def squash(log_odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-log_odds))


def odds(name: str) -> np.ndarray:
    share = PUBLISHED.column(name, MODELS)
    return np.log(share / (1 - share))


def rest_of(name: str, baseline: str) -> np.ndarray:
    """Return what a published set's log odds leave after a line in its baseline's."""
    x, y = odds(baseline), odds(name)
    return y - np.polyval(np.polyfit(x, y, 1), x)


@pytest.fixture
def save(make_predictions, provenance, tmp_path):
    """Write results of models with given top-1; the other metrics are of one set of predictions."""
    made = make_predictions(n=40)
    plain = result_of(replace(made, provenance=provenance(name="a", n=40)), "a")

    def write(top1, config: str = "default", names=MODELS, **facts) -> list[Path]:
        paths = []
        values = dict(zip(MODELS, np.broadcast_to(top1, len(MODELS)).tolist(), strict=True))
        for name in names:
            metrics = plain.metrics.model_copy(update={"top1": values[name]})
            of = {"model": model(name, tag=name), "dataset": dataset(config=config, **facts), "metrics": metrics}
            path = tmp_path / f"{name}-{config}-{len(list(tmp_path.iterdir()))}.json"
            results.write(path, plain.model_copy(update=of))
            paths.append(path)
        return paths

    return write


def found_of(found: Realism, quantity: str = "top-1") -> dict[str, Agreement]:
    return {each.against: each for each in found.correlations if each.quantity == quantity}


def test_top1_that_follows_imagenet_alone_convinces_nobody(save):
    rng = np.random.default_rng(0)
    found = realism(save(squash(0.8 * odds("imagenet") - 0.5 + 0.05 * rng.normal(size=len(MODELS)))))
    top1 = found_of(found)
    assert set(top1) == {"imagenet-real", "imagenetv2", "sketch", "imagenet-r", "imagenet-a"}
    assert top1["imagenetv2"].spearman > 0.9  # and yet
    assert found.convincing is False
    assert [each.residual_ci95[0] < 0.3 for each in top1.values()] == [True] * 5
    assert top1["imagenet-r"].baseline == ("imagenet", "imagenet-r-clean")
    assert (top1["sketch"].models, top1["sketch"].families) == (69, 34)
    assert top1["imagenet-a"].models == 68
    assert "0 %, which has no log odds" in found.left_out["resnet50.tv_in1k on imagenet-a"]


def test_a_planted_agreement_with_shifted_sets_is_found(save):
    rng = np.random.default_rng(1)
    both = rest_of("sketch", "imagenet") + rest_of("imagenet-r", "imagenet-r-clean")
    found = realism(save(squash(0.8 * odds("imagenet") + 0.5 * both + 0.05 * rng.normal(size=len(MODELS)))))
    assert found.convincing is True
    assert found_of(found)["sketch"].residual_ci95[0] > 0.3


def test_the_change_from_a_control_is_a_quantity_of_its_own(save):
    rng = np.random.default_rng(2)
    rest = rest_of("sketch", "imagenet")
    control = odds("imagenet") + 0.2 * rng.normal(size=len(MODELS))
    paths = [*save(squash(control - 1 + 0.5 * rest)), *save(squash(control), "control_scale"),
             *save(squash(control), "control_scale_guides", names=MODELS[:1])]  # fmt: skip
    found = realism(paths)
    changed = found_of(found, "top-1 against control_scale")
    assert changed["sketch"].residual == pytest.approx(1, abs=1e-6)  # the control's own noise cancels
    assert found_of(found)["sketch"].residual < 0.9
    assert found.left_out[str(paths[-1])] == "config control_scale_guides is no control of default"
    assert found.models[0].controls["control_scale"] == pytest.approx(squash(control)[0])


def real_result(name: str, same: float, rand: float, digest: str = "d" * 64) -> RealResult:
    scores = {"mixed_same": same, "mixed_rand": rand}
    run = results.Run(precision="fp32", agreement=None, compiled=False, batch_size=1, devices=[])
    facts = {"paper": "2006.09994", "classes": 9, "among": False, "differences": {}, "environment": {}, "seconds": 1}
    groups = {each: RealScore(n=4050, top1=top1, ci95=(0, 1)) for each, top1 in scores.items()}
    named = {"model": model(name, tag=name), "real_set": "imagenet-9", "digest": digest}
    return RealResult(**named, **facts, groups=groups, run=run)


def test_measured_real_sets_are_further_columns(save, tmp_path):
    rng = np.random.default_rng(3)
    rest = 0.3 * rng.normal(size=len(MODELS))
    paths = save(squash(odds("imagenet") + rest))
    for name, value in zip(MODELS, rest, strict=True):
        path = tmp_path / f"{name}.real.json"
        path.write_bytes(to_json(real_result(name, 0.8, float(squash(value)))))
        paths.append(path)
    found = found_of(realism(paths))
    assert found["imagenet-9 mixed_rand (measured)"].residual > 0.9
    assert found["imagenet-9 mixed_rand against mixed_same (measured)"].residual > 0.9
    assert found["imagenet-9 mixed_same (measured)"].residual is None  # constant
    path.write_bytes(to_json(real_result(MODELS[-1], 0.8, 0.5, "e" * 64)))
    with pytest.raises(ResultError, match="other images of imagenet-9"):
        realism(paths)


def test_an_alias_names_a_model_without_tag(save, tmp_path):
    paths = save(squash(odds("imagenet")))
    plain = results.read(paths[0])
    results.write(paths[0], plain.model_copy(update={"model": model("packaged:mine", tag=None)}))
    left = realism(paths).left_out[str(paths[0])]
    assert left.startswith("packaged:mine is not in timm, the selection shipped")
    assert "--alias NAME=TIMM_NAME" in left
    found = realism(paths, alias=[("packaged:mine", MODELS[0])])
    assert str(paths[0]) not in found.left_out
    assert found.models[0].model == "packaged:mine"
    assert found.models[0].family == family_of(MODELS[0])
    with pytest.raises(ResultError, match="--alias names 'resnet1'"):
        realism(paths, alias=[("packaged:mine", "resnet1")])


def test_weights_from_a_file_are_not_those_of_the_tag(save):
    paths = save(squash(odds("imagenet")))
    plain = results.read(paths[0])
    results.write(paths[0], plain.model_copy(update={"model": model(MODELS[0], tag=MODELS[0], checkpoint="mine.pth")}))
    assert str(paths[0]) in realism(paths).left_out


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda save: save(0.5, names=MODELS[:4]), "at least 15 models of 8 .* got 4 of 1 .*--models-file realism"),
        (lambda save: [*save(0.5), *save(0.5, release="1" * 64, names=MODELS[:1])], "expected results on one release"),
        (lambda save: save(0.5, "control_scale"), "expected results on config default, or guides, got control_scale"),
        (lambda save: [*save(0.5), *save(0.5, names=MODELS[:1])], "expected each model once on config default"),
        (lambda save: [ROOT / "README.md"], "cannot be read as a result"),
        (lambda save: [ROOT / "no.json"], "no result at"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_one_line(save, change, expected):
    with pytest.raises(ResultError, match=expected) as caught:
        realism(change(save))
    assert "\n" not in str(caught.value)


def correlated(residual, low) -> Agreement:
    nothing = {"quantity": "top-1", "against": "x", "baseline": ("a", "b"), "models": 30, "families": 9}
    return Agreement(**nothing, spearman=0.9, spearman_ci95=(0.8, 1), residual=residual, residual_ci95=(low, 1))


@pytest.mark.parametrize(
    ("sketch", "r", "a", "v2", "expected"),
    [
        ((0.7, 0.4), (0.8, 0.5), (0.1, -0.4), (0.5, 0.2), True),
        ((0.7, 0.29), (0.8, 0.5), (0.1, -0.4), (0.5, 0.2), False),  # one interval reaches too low
        ((0.7, 0.4), (0.8, 0.5), (0.1, -0.4), (0.75, 0.6), False),  # V2, no shift, agrees as well
        ((0.7, 0.4), (0.1, 0.0), (0.8, 0.5), (0.5, 0.2), True),
        ((None, None), (None, None), (0.8, 0.5), (0.5, 0.2), None),
        ((0.7, 0.4), (0.8, 0.5), (0.1, -0.4), (None, None), None),
    ],
)
def test_the_rule_is_the_one_written_before_any_result(sketch, r, a, v2, expected):
    given = {"sketch": sketch, "imagenet-r": r, "imagenet-a": a, "imagenetv2": v2}
    answer, reasons = decide({name: correlated(*each) for name, each in given.items()})
    assert answer is expected
    assert reasons


def test_command_writes_what_it_prints(save, tmp_path, capsys):
    paths = save(squash(odds("imagenet")), names=MODELS[:40])
    main([*map(str, paths), "--out", str(tmp_path / "new" / "realism.json")])
    shown = capsys.readouterr().out
    assert "40 models of" in shown
    assert "agreement beyond ImageNet accuracy by the rule stated in advance: " in shown
    written = Realism.model_validate_json((tmp_path / "new" / "realism.json").read_text())
    main([*map(str, paths), "--json"])
    assert Realism.model_validate(json.loads(capsys.readouterr().out)["realism"]) == written


def test_comparing_needs_no_torch(save):
    paths = save(squash(odds("imagenet")), names=MODELS[:40])
    line = [*map(str, paths), "--quiet"]
    code = f"import sys\nfrom benchmark.realism import main\nmain({line})\nassert 'torch' not in sys.modules"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr


def test_the_two_modes_say_what_they_need(fails):
    assert "expected RESULT files, or --measure SET" in fails(main, [])
    assert "takes --folder DIR and --model NAME" in fails(main, ["--measure", "imagenet-9"])
    assert "--measure measures models and takes no RESULT" in fails(main, ["a.json", "--measure", "imagenet-9"])
    assert "expected NAME=TIMM_NAME" in fails(main, ["a.json", "--alias", "mine"])
