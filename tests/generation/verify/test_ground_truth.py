"""SageMaker Ground Truth's manifests: the same votes give the same verdicts, and odd files change nothing."""

import json
import shutil

import pytest

from generation.verify.aggregate.rules import Rule
from generation.verify.aggregate.votes_to_verdicts import aggregate
from generation.verify.aggregate.worker_quality import Limits
from generation.verify.crowds.exchange import export, take_file
from generation.verify.votes.store import Store, Vote
from tests.generation.verify.conftest import all_opinions, refused

FORMS = {
    "text": lambda answer: answer,
    "label": lambda answer: {"label": answer},
    "flags": lambda answer: {each: each == answer for each in ("yes", "no", "unsure")},
}


def labelled(folder, form="text", job="d3s-job"):
    """The input manifest that was exported, answered by everybody, as a custom job without a Lambda leaves it."""
    opinions = all_opinions(folder)
    lines = []
    for line in (folder / "out" / "ground_truth.manifest").read_text().splitlines():
        row, people = json.loads(line), {}
        for worker, _, item, question, answer in opinions:
            if item == row["item"]:
                people.setdefault(worker, {})[question] = FORMS[form](answer)
        row[job] = {
            "annotationsFromAllWorkers": [
                {"workerId": f"private.eu-west-1.{worker}", "annotationData": {"content": json.dumps(given)}}
                for worker, given in people.items()
            ]
        }
        row[f"{job}-metadata"] = {"type": "groundtruth/custom", "job-name": job, "human-annotated": "yes"}
        lines.append(json.dumps(row))
    return "\n".join(lines) + "\n"


def verdicts(folder):
    found = aggregate(folder, Rule("full"), Limits(seconds=0))
    return {key: each.verified for key, each in found.rows.items()}


@pytest.fixture(scope="module")
def expected(prepared, tmp_path_factory):
    """The verdicts of the votes themselves."""
    other = shutil.copytree(prepared, tmp_path_factory.mktemp("other") / "tasks")
    store = Store(other)
    store.add_all([Vote(worker, item, question, answer) for worker, _, item, question, answer in all_opinions(other)])
    store.close()
    return verdicts(other)


@pytest.mark.parametrize("form", ["text", *(pytest.param(each, marks=pytest.mark.long) for each in ("flags", "label"))])
def test_its_answers_give_the_verdicts_of_the_votes_themselves(tasks_folder, expected, form):
    export(tasks_folder, "ground-truth", tasks_folder / "out", "s3://bucket/images")
    path = tasks_folder / "output.manifest"
    path.write_text(labelled(tasks_folder, form))
    taken = take_file(tasks_folder, path)
    assert (taken.new, taken.there, taken.left_out) == (44 * 3 * 3, 0, [])
    assert take_file(tasks_folder, path).new == 0
    found = verdicts(tasks_folder)
    assert found == expected
    assert {True, False} <= set(found.values())


def test_what_is_exported_tells_no_known_pair_and_its_template_names_what_the_manifest_holds(tasks_folder):
    export(tasks_folder, "ground-truth", tasks_folder / "out", "s3://bucket/images/")
    rows = [json.loads(line) for line in (tasks_folder / "out" / "ground_truth.manifest").read_text().splitlines()]
    assert all(row["source-ref"].startswith("s3://bucket/images/") for row in rows)
    assert not {"expected", "key", "kind"} & set(rows[0])
    template = (tasks_folder / "out" / "ground_truth.liquid.html").read_text()
    named = {part.split("}")[0].split("|")[0].strip() for part in template.split("task.input.")[1:]}
    assert named <= set(rows[0])
    assert template.count('type="radio"') == 3 * 3


def test_odd_manifests_are_one_line_and_change_nothing(tasks_folder):
    export(tasks_folder, "ground-truth", tasks_folder / "out", "s3://bucket/images")
    whole = labelled(tasks_folder)
    path = tasks_folder / "output.manifest"
    consolidated = whole.replace("annotationsFromAllWorkers", "consolidated")
    other = whole.replace(json.loads(whole.splitlines()[0])["release"], "0" * 64)
    for content in (whole[:-40], consolidated, "[1]\n", "{}x\n", other, "[" * 10**5):
        path.write_text(content)
        assert str(path) in refused("import", tasks_folder, path)
    row = json.loads(whole.splitlines()[0])
    row["d3s-job-metadata"]["failure-reason"] = "ClientError: the image cannot be read"
    path.write_text("\n".join([json.dumps(row), *whole.splitlines()[1:]]))
    taken = take_file(tasks_folder, path)
    assert taken.new == 43 * 3 * 3
    assert taken.left_out == ["1 objects without a label were skipped"]
