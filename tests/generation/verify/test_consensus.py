"""Many answers, one label: on real votes, against a plain EM and the krippendorff package; and on any votes."""

import csv
import math
import statistics
import subprocess
import sys
from collections import Counter, defaultdict

import krippendorff
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generation.verify.__main__ import main
from generation.verify.aggregate.agreement import alpha, interval, table
from generation.verify.aggregate.consensus import collect, dawid_skene, label, majority
from generation.verify.aggregate.rules import Rule, decide
from tests.conftest import ROOT, one_line_error
from tests.generation.verify.conftest import refused


@pytest.fixture(scope="module")
def real(shared_data):
    """5,000 real votes on 1,000 objects, and what is true."""
    lines = [line.split("\t") for line in (shared_data / "votes" / "labels.txt").read_text().splitlines()]
    truth = dict(line.split("\t") for line in (shared_data / "votes" / "evaluation.txt").read_text().splitlines())
    return [(worker, task, said) for worker, task, said in lines], truth


def plain_em(votes, rounds=50):
    """Dawid and Skene (1979) as the paper has it, on arrays."""
    workers, tasks, labels = (sorted({vote[column] for vote in votes}) for column in range(3))
    index = [(workers.index(w), tasks.index(t), labels.index(said)) for w, t, said in votes]
    n = np.zeros((len(workers), len(tasks), len(labels)))
    for w, t, said in index:
        n[w, t, said] = 1
    truth = n.sum(0) / n.sum((0, 2))[:, None]
    for _ in range(rounds):
        confusion = np.einsum("wtl,tk->wkl", n, truth)
        confusion /= np.maximum(confusion.sum(2, keepdims=True), 1e-300)
        score = np.log(truth.mean(0)) + np.einsum("wtl,wkl->tk", n, np.log(np.maximum(confusion, 1e-10)))
        truth = np.exp(score - score.max(1, keepdims=True))
        truth /= truth.sum(1, keepdims=True)
    return {task: dict(zip(labels, row, strict=True)) for task, row in zip(tasks, truth, strict=True)}


def accuracy(found, truth):
    return sum(found[task] == truth[task] for task in found) / len(found)


def test_real_votes(real):
    votes, truth = real
    answers, repeated, empty = collect(votes)
    assert (len(answers) + repeated, empty) == (5000, 0)
    own = defaultdict(list)
    for (worker, task), said in answers.items():
        own[worker].append(said == truth[task])
    one_worker = statistics.mean(statistics.mean(each) for each in own.values())
    ours, theirs = dawid_skene(answers), plain_em([(*name, said) for name, said in answers.items()])
    for task in truth:
        assert ours[task] == pytest.approx(theirs[task], abs=1e-4)
    by_em = accuracy({task: each.label for task, each in label(answers, "dawid-skene").items()}, truth)
    by_most = accuracy({task: each.label for task, each in majority(answers).items()}, truth)
    print(f"one worker {one_worker:.4f}, majority {by_most:.4f}, Dawid-Skene {by_em:.4f}")  # noqa: T201
    assert by_most >= one_worker
    assert by_em >= one_worker


def reliability(answers, tasks, workers, options):
    data = np.full((len(workers), len(tasks)), np.nan)
    for (worker, task), said in answers.items():
        data[workers.index(worker), tasks.index(task)] = options.index(said)
    return data


def test_alpha_is_the_packages_on_real_votes(real):
    answers, _, _ = collect(real[0])
    options, workers = ["0", "1"], sorted({worker for worker, _ in answers})
    data = reliability(answers, sorted({task for _, task in answers}), workers, options)
    counts = table(((task, said) for (_, task), said in answers.items()), options)
    ours = alpha(counts)
    assert ours == pytest.approx(krippendorff.alpha(data, level_of_measurement="nominal"), abs=1e-12)
    low, high = interval(counts)
    assert low < ours < high
    assert high - low < 0.1


votes_on_anything = st.dictionaries(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(["t1", "t2", "t3", "t4", "t5"])),
    st.sampled_from(["no", "unsure", "yes"]),
    min_size=1,
)


@given(votes_on_anything)
def test_alpha_is_the_packages_on_any_votes(answers):
    options = ["no", "unsure", "yes"]
    ours = alpha(table(((task, said) for (_, task), said in answers.items()), options))
    per_task = Counter(task for _, task in answers)
    pairable = {said for (_, task), said in answers.items() if per_task[task] > 1}
    if len(pairable) < 2:  # the package raises, or calls one answer only perfect agreement
        assert math.isnan(ours)
        return
    data = reliability(answers, ["t1", "t2", "t3", "t4", "t5"], list("abcd"), options)
    assert ours == pytest.approx(krippendorff.alpha(data, level_of_measurement="nominal"), abs=1e-9)


any_votes = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(["t1", "t2", "t3"]), st.sampled_from(["", "no", "yes", "x"])),
    max_size=30,
)


@given(any_votes)
def test_a_worker_counts_once_a_task_and_the_last_answer_is_it(votes):
    answers, repeated, empty = collect(votes)
    assert len(answers) + repeated + empty == len(votes)
    assert answers == {(worker, task): said for worker, task, said in votes if said}
    doubled, _, _ = collect([*votes, *votes])
    assert doubled == answers


@given(any_votes, st.sampled_from([None, "yes", "no"]))
def test_a_tie_goes_where_it_was_told_to(votes, ties):
    answers, _, _ = collect(votes)
    for task, found in majority(answers, ties).items():
        counts = Counter(said for (_, t), said in answers.items() if t == task)
        best = {said for said, count in counts.items() if count == max(counts.values())}
        expected = best.pop() if len(best) == 1 else ties if ties in best else ""
        assert found.label == expected
        assert found.probability == pytest.approx(max(counts.values()) / counts.total())


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(any_votes)
def test_dawid_skene_gives_probabilities_whatever_the_votes(few_rounds, votes):
    answers, _, _ = collect(votes)
    found = dawid_skene(answers)
    assert found.keys() == {task for _, task in answers}
    assert all(sum(each.values()) == pytest.approx(1) for each in found.values())


counted = st.fixed_dictionaries(
    {
        question: st.dictionaries(st.sampled_from(["yes", "no", "unsure"]), st.integers(1, 5)).map(Counter)
        for question in ("foreground", "background", "unsafe")
    }
)


@given(counted, st.integers(1, 5))
def test_stricter_rules_verify_less(counts, least):
    def verdict(name, **more):
        return decide(counts, None, Rule(name, least, **more))

    if verdict("full"):
        assert verdict("paper")
        assert verdict("majority")
    if verdict("paper"):
        assert counts["foreground"]["yes"] == counts["foreground"].total() >= least
        assert counts["unsafe"]["yes"] == 0
    open_ties = verdict("majority")
    assert verdict("majority", ties="yes") == (True if open_ties is None and enough(counts, least) else open_ties)
    if not enough(counts, least):
        assert verdict("full") is None


def enough(counts, least):
    return all(each.total() >= least for each in counts.values())


def test_votes_alone(few_rounds, real, tmp_path, capsys):
    votes, truth = real
    with (tmp_path / "votes.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["worker", "task", "label"])
        writer.writerows([*votes, ("extra", "1", ""), votes[0]])
    for method in ("majority", "dawid-skene"):
        out = tmp_path / f"{method}.csv"
        line = ["aggregate", "--votes", tmp_path / "votes.csv", "--method", method, "--out", out]
        main([str(each) for each in line])
        warned = capsys.readouterr().err
        assert "1 votes without a label were skipped" in warned
        assert "1 votes were replaced by a later one" in warned
        rows = list(csv.DictReader(out.read_text().splitlines()))
        assert len(rows) == 1000
        assert accuracy({row["task"]: row["label"] for row in rows}, truth) > 0.65
        assert all(0.5 <= float(row["probability"]) <= 1 for row in rows)


BAD = {
    "no columns": ("a,b\n1,2\n", [], "expected columns worker, task, label, got none named worker, task, label"),
    "cut short": ("worker,task,label\na,t,x\nb,t", [], "line 3: expected 3 columns, got 2 (truncated?)"),
    "no votes": ("worker,task,label\n", [], "holds no votes"),
}


@pytest.mark.parametrize(("text", "more", "says"), BAD.values(), ids=BAD.keys())
def test_bad_votes_are_one_clear_line(text, more, says, tmp_path):
    path = tmp_path / "votes.csv"
    path.write_text(text)
    line = ["aggregate", "--votes", path, "--out", tmp_path / "out.csv", *more]
    assert says in refused(*line)
    assert not (tmp_path / "out.csv").exists()


FOR_OTHERS = {
    "ties of another method": (["--method", "dawid-skene", "--ties", "x"], "--ties goes with --rule majority, or with"),
    "a rule for tasks": (["--rule", "paper"], "--rule does nothing with --votes: leave it out"),
}


@pytest.mark.parametrize(("more", "says"), FOR_OTHERS.values(), ids=FOR_OTHERS.keys())
def test_flags_for_something_else_are_refused(more, says, tmp_path, capsys):
    (tmp_path / "votes.csv").write_text("worker,task,label\na,t,x\n")
    with pytest.raises(SystemExit):
        main(["aggregate", "--votes", str(tmp_path / "votes.csv"), "--out", str(tmp_path / "out.csv"), *more])
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


def test_a_missing_extra_is_named(tmp_path):
    code = (
        "import sys; sys.modules['crowdkit'] = None\n"
        "from generation.verify.__main__ import main\n"
        "from d3s_dataset.utils.cli import run_command\n"
        "run_command(main, ['aggregate', 'tasks'])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "the package 'crowdkit', which is not installed" in one_line_error(result)
    assert "pip install '.[verify]'" in result.stderr
