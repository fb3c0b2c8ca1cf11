"""The same votes through Mechanical Turk's CSV, Label Studio's JSON and a plain CSV give the same verdicts."""

import csv
import io
import json
import re
import shutil

import pytest
from datasets import load_dataset

from generation.verify.aggregate import verdicts
from generation.verify.aggregate.rules import Rule
from generation.verify.aggregate.votes_to_verdicts import aggregate
from generation.verify.aggregate.worker_quality import Limits
from generation.verify.apply import apply
from generation.verify.crowds.exchange import export, take_file
from generation.verify.prepare import tasks as files
from generation.verify.votes.store import Store, Vote
from tests.generation.verify.conftest import PEOPLE, all_opinions, last_votes, refused, start

# As the requester's site writes them, before the columns of the batch (Input.*) and of the form (Answer.*).
MTURK = [
    *("HITId", "HITTypeId", "Title", "Description", "Keywords", "Reward", "CreationTime", "MaxAssignments"),
    *("RequesterAnnotation", "AssignmentDurationInSeconds", "AutoApprovalDelayInSeconds", "Expiration"),
    *("NumberOfSimilarHITs", "LifetimeInSeconds", "AssignmentId", "WorkerId", "AssignmentStatus", "AcceptTime"),
    *("SubmitTime", "AutoApprovalTime", "ApprovalTime", "RejectionTime", "RequesterFeedback", "WorkTimeInSeconds"),
    *("LifetimeApprovalRate", "Last30DaysApprovalRate", "Last7DaysApprovalRate"),
]


def mturk_results(folder, form="flat", opinions=None):
    """The batch that was exported, answered by everybody, as a results CSV in one of the three forms."""
    batch = list(csv.DictReader((folder / "out" / "mturk.csv").read_text().splitlines()))
    said = {(w, item, q): a for w, _, item, q, a in (opinions or all_opinions(folder))}
    rows = []
    for number, worker in enumerate(sorted({w for w, *_ in said})):
        for line in batch:
            row = dict.fromkeys(MTURK, "") | {
                "HITId": f"H{line['task']}", "AssignmentId": f"A{number}{line['task']}", "WorkerId": worker.upper(),
                "AssignmentStatus": "Approved", "WorkTimeInSeconds": "200", "SubmitTime": "",
            }  # fmt: skip
            row |= {f"Input.{name}": value for name, value in line.items()}
            slots = [name.removeprefix("item_") for name in line if name.startswith("item_")]
            given = {f"q{slot}_{q}": said[worker, line[f"item_{slot}"], q] for slot in slots
                     for q in ("foreground", "background", "unsafe")}  # fmt: skip
            options = ("yes", "no", "unsure")
            if form == "json":
                answer = [{name: {each: each == a for each in options} for name, a in given.items()}]
                row["Answer.taskAnswers"] = json.dumps(answer)
            elif form == "flags":
                row |= {f"Answer.{n}.{each}": str(each == a).lower() for n, a in given.items() for each in options}
            else:
                row |= {f"Answer.{name}": answer for name, answer in given.items()}
            rows.append(row | {"Approve": "", "Reject": ""})
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def label_studio_results(folder, opinions=None):
    """The tasks that were exported, annotated by everybody, as Label Studio exports them."""
    tasks = json.loads((folder / "out" / "label_studio.json").read_text())
    said = {(w, item, q): a for w, _, item, q, a in (opinions or all_opinions(folder))}
    people = sorted({w for w, *_ in said})
    for number, task in enumerate(tasks, 1):
        annotations = []
        for by, worker in enumerate(people, 1):
            result = [
                {"id": f"r{q}", "from_name": q, "to_name": "image", "type": "choices", "origin": "manual",
                 "value": {"choices": [said[worker, task["data"]["item"], q]]}}
                for q in ("foreground", "background", "unsafe")
            ]  # fmt: skip
            annotations.append({"id": number * 100 + by, "completed_by": by, "result": result, "was_cancelled": False,
                                "ground_truth": False, "lead_time": 7.5, "task": number})  # fmt: skip
        task |= {"id": number, "annotations": annotations, "predictions": [], "project": 1}
    return json.dumps(tasks)


def exported(folder, form):
    export(folder, form, folder / "out", "https://pictures.example.org/images")
    return folder


def judged(folder, rule="full", limits=None):
    found = aggregate(folder, Rule(rule), limits or Limits())
    return {key: each.model_dump() for key, each in found.rows.items()}


@pytest.fixture(scope="module")
def by_page(few_rounds, prepared, tmp_path_factory):
    """The verdicts of the page itself, asked over HTTP."""
    folder = shutil.copytree(prepared, tmp_path_factory.mktemp("page") / "tasks")
    opinions, page = all_opinions(folder), start(folder, "--floor", "0")
    for worker in PEOPLE:
        for _ in files.read(folder).tasks:
            address = page.enter(worker)
            own = next(task.id for task in files.read(folder).tasks if task.items[0] in page.ask(address)[1])
            for _, _, item, question, answer in (each for each in opinions if each[:2] == (worker, own)):
                vote = {"item": item, "question": question, "answer": answer, "revision": 1, "seconds": 6}
                assert page.ask(f"{address}/votes", vote)[0] == 200
            assert page.ask(f"{address}/finish", {})[0] == 200
        assert "no more tasks for you" in page.ask(page.links[worker])[1]
    page.kill()
    found = judged(folder, limits=Limits(seconds=0))  # by the server's clock they took no time
    assert {each["verified"] for each in found.values()} == {True, False}
    assert len(found) == 40
    return found


def loaded(redrawn, folder, out):
    """The keys of the verified split, as whoever loads the new version gets them."""
    apply(redrawn, folder, out)
    return set(load_dataset(str(out), split="validation")["key"])


@pytest.mark.parametrize("form", ["flat", "flags", "json"])
def test_through_mechanical_turk(redrawn, tasks_folder, by_page, form):
    exported(tasks_folder, "mturk")
    path = tasks_folder / "results.csv"
    path.write_text(mturk_results(tasks_folder, form))
    taken = take_file(tasks_folder, path)
    assert (taken.new, taken.there, taken.left_out) == (44 * 3 * 3, 0, [])
    assert judged(tasks_folder) == by_page
    verified = {key for key, each in by_page.items() if each["verified"]}
    assert loaded(redrawn, tasks_folder, tasks_folder / "d3s") == verified
    again = take_file(tasks_folder, path)
    assert (again.new, again.there) == (0, 44 * 3 * 3)


def test_through_label_studio(redrawn, tasks_folder, by_page):
    exported(tasks_folder, "label-studio")
    path = tasks_folder / "export.json"
    path.write_text(label_studio_results(tasks_folder))
    for new in (44 * 3 * 3, 0):
        assert take_file(tasks_folder, path).new == new
    assert judged(tasks_folder) == by_page
    verified = {key for key, each in by_page.items() if each["verified"]}
    assert loaded(redrawn, tasks_folder, tasks_folder / "d3s") == verified


def test_through_a_plain_csv(tasks_folder, by_page, tmp_path, prepared):
    exported(tasks_folder, "mturk")
    (tasks_folder / "r.csv").write_text(mturk_results(tasks_folder))
    take_file(tasks_folder, tasks_folder / "r.csv")
    (votes,) = export(tasks_folder, "csv", tmp_path / "csv", None)
    other = shutil.copytree(prepared, tmp_path / "other")
    for folder, new in ((other, 44 * 3 * 3), (other, 0), (tasks_folder, 0)):
        assert take_file(folder, votes).new == new
    assert judged(other) == by_page


def test_what_is_exported_tells_no_known_pair_and_is_well_formed(tasks_folder):
    import xml.etree.ElementTree as tree

    for form in ("mturk", "label-studio"):
        exported(tasks_folder, form)
    out = tasks_folder / "out"
    for path in out.iterdir():
        assert "expected" not in path.read_text()
        assert "key" not in path.read_text().replace("monkey", "")
    config = tree.fromstring((out / "label_studio.xml").read_text())
    assert [each.get("name") for each in config.iter("Choices")] == ["foreground", "background", "unsafe"]
    data = json.loads((out / "label_studio.json").read_text())[0]["data"]
    named = {
        each.get("value") or each.get("valueList") for tag in ("Image", "Header", "Text") for each in config.iter(tag)
    }
    assert {name.removeprefix("$") for name in named} <= data.keys()
    layout, head = (out / "mturk.html").read_text(), (out / "mturk.csv").read_text().splitlines()[0].split(",")
    variables = {part.split("}")[0] for part in layout.split("${")[1:]}
    assert variables <= set(head)
    assert layout.count("<crowd-form") == 1
    assert layout.count('name="q22_unsafe"') == 3


def spoil(folder, kind):
    """A results file with one thing wrong with it."""
    text = mturk_results(exported(folder, "mturk"))
    held = files.read(folder)
    if kind == "another release":
        return text.replace(held.release, "f" * 64)
    if kind == "half-written":
        return text[: len(text) - 3000]
    if kind == "half a line":
        return text[: text.rindex('"yes"')].rstrip(",") + "\n"
    if kind == "no option":
        return '"maybe"'.join(text.rsplit('"unsure"' if '"unsure"' in text else '"yes"', 1))
    return "a,b\n1,2\n"


SAYS = {
    "another release": "expected answers about release",
    "half-written": "truncated?",
    "half a line": "truncated?",
    "no option": "expected yes, no, unsure as the answer to",
    "another file": "Mechanical Turk's results",
}


@pytest.mark.parametrize(("kind", "says"), SAYS.items())
def test_a_bad_file_is_one_clear_line_and_changes_nothing(kind, says, tasks_folder):
    store = Store(tasks_folder)
    item = files.read(tasks_folder).items[0].id
    store.record([Vote("person:anna", item, "unsafe", "no")])
    (tasks_folder / "bad.csv").write_text(spoil(tasks_folder, kind))
    assert says in refused("import", tasks_folder, tasks_folder / "bad.csv")
    assert [(vote.worker, vote.answer) for vote in store.last()] == [("person:anna", "no")]


def test_what_is_odd_is_told_and_the_rest_is_taken(tasks_folder, command):
    rows = list(csv.DictReader(mturk_results(exported(tasks_folder, "mturk")).splitlines()))
    first, second, third, *rest = rows
    second |= {"AssignmentStatus": "Rejected"}
    third |= {"Input.item_1": "0123456789ab"}
    twice = first | {"AssignmentId": "A9", "Answer.q1_foreground": "unsure"}
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(first))
    writer.writeheader()
    writer.writerows([first, second, third, *rest, twice])
    (tasks_folder / "odd.csv").write_text(out.getvalue())
    result = command("generation.verify", "import", tasks_folder, tasks_folder / "odd.csv")
    assert result.returncode == 0, result.stderr
    assert "1 rejected assignments were skipped" in result.stderr
    assert "1 unknown items were skipped, such as 0123456789ab" in result.stderr
    assert "1 annotators answered items twice, first in line 8: the later one counts" in result.stderr
    last = {(v.worker, v.item, v.question): v.answer for v in last_votes(tasks_folder)}
    assert last[f"mturk:{first['WorkerId']}", first["Input.item_1"], "foreground"] == "unsure"
    assert len(last) == (44 * 3 - 22 - 1) * 3


def test_verdicts_by_other_rules_and_a_careless_worker(few_rounds, tasks_folder):
    held = files.read(tasks_folder)
    opinions = all_opinions(tasks_folder)
    careless = [("zoe", task, item, q, "yes") for worker, task, item, q, _ in opinions if worker == "anna"]
    (tasks_folder / "r.csv").write_text(mturk_results(exported(tasks_folder, "mturk"), opinions=opinions + careless))
    take_file(tasks_folder, tasks_folder / "r.csv")
    found = {rule: judged(tasks_folder, rule) for rule in ("paper", "full", "majority", "dawid-skene")}
    verified = {rule: {key for key, each in rows.items() if each["verified"]} for rule, rows in found.items()}
    assert verified["full"] < verified["paper"]
    assert verified["full"] < verified["majority"]
    assert verified["full"] <= verified["dawid-skene"]
    (reason,) = verdicts.read(tasks_folder).left_out.values()
    right = sum(said == "yes" for item in held.items for said in item.expected.values())
    assert reason == f"{right} of 8 gold questions correct"
    report = (tasks_folder / "report.html").read_text()
    assert reason in report
    assert held.drawn in report
    assert "ZOE" not in re.sub('base64,[^"]+', "", report)  # any letters may stand in a picture
