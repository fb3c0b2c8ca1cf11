"""Every crowd that exports and imports: the same votes come back, and every kind of bad file is one line.

A new crowd needs one line in `FILLED`: its exported files, answered by everybody, as its tool writes them.
"""

import csv
import io
import json
import shutil
from contextlib import suppress

import pytest

from d3s_dataset.errors import VerifyError
from generation.verify.__main__ import main
from generation.verify.aggregate.rules import Rule
from generation.verify.aggregate.votes_to_verdicts import aggregate
from generation.verify.aggregate.worker_quality import Limits
from generation.verify.crowds.base import CROWDS
from generation.verify.crowds.exchange import export, take_file
from generation.verify.prepare import tasks as files
from generation.verify.prepare.questions import ANSWERS, NAMES
from generation.verify.votes.store import Store, Vote
from tests.generation.verify.conftest import PEOPLE, all_opinions, last_votes, refused
from tests.generation.verify.test_exchange import label_studio_results, mturk_results
from tests.generation.verify.test_ground_truth import labelled


def said(folder):
    return {(worker, item, question): answer for worker, _, item, question, answer in all_opinions(folder)}


def table(rows):
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def prolific_wide(folder):
    opinions, texts = said(folder), [each["description"] for each in _questions(folder)]
    return table([
        {"Participant ID": worker, "Submission ID": f"s-{worker}", "Status": "APPROVED", **row,
         **{text: ANSWERS[opinions[worker, row["META_item"], question]]
            for text, question in zip(texts, NAMES, strict=True)}}
        for row in _dataset(folder) for worker in PEOPLE
    ])  # fmt: skip


def prolific_long(folder):
    opinions, texts = said(folder), [each["description"] for each in _questions(folder)]
    return table([
        {"participant_id": worker, "META_item": row["META_item"], "META_release": row["META_release"],
         "instruction": text, "response": opinions[worker, row["META_item"], question]}
        for row in _dataset(folder) for worker in PEOPLE for text, question in zip(texts, NAMES, strict=True)
    ])  # fmt: skip


def _dataset(folder):
    return list(csv.DictReader((folder / "out" / "prolific.csv").read_text().splitlines()))


def _questions(folder):
    return json.loads((folder / "out" / "prolific_questions.json").read_text())


def studio_rows(folder):
    """JSON-MIN: a row per annotation, the answer under the question's name."""
    rows = []
    for task in json.loads(label_studio_results(folder)):
        for each in task["annotations"]:
            answers = {result["from_name"]: result["value"]["choices"][0] for result in each["result"]}
            about = {"annotator": each["completed_by"], "annotation_id": each["id"], "lead_time": each["lead_time"]}
            rows.append({**task["data"], "id": task["id"], **about, **answers})
    return rows


def own_csv(folder):
    return (folder / "out" / "votes.csv").read_text()


FILLED = {
    "mturk": {"results.csv": mturk_results},
    "prolific": {"wide.csv": prolific_wide, "long.csv": prolific_long},
    "label-studio": {
        "full.json": label_studio_results,
        "min.json": lambda folder: json.dumps(studio_rows(folder)),
        "rows.csv": lambda folder: table(studio_rows(folder)),
    },
    "ground-truth": {"output.manifest": labelled},
    "csv": {"votes.csv": own_csv},
}
FILES = [(crowd, name) for crowd, each in FILLED.items() for name in each]


@pytest.fixture(scope="module")
def answered(prepared, tmp_path_factory):
    """Tasks on which everybody voted, by the store itself."""
    folder = shutil.copytree(prepared, tmp_path_factory.mktemp("answered") / "tasks")
    store = Store(folder)
    store.record(Vote(f"person:{worker}", *rest) for (worker, *rest), answer in said(folder).items()
                 for rest in [[*rest, answer]])  # fmt: skip
    store.close()
    return folder


@pytest.fixture(scope="module")
def filled(answered, tmp_path_factory):
    """(crowd, name) -> a file of answers by everybody."""
    found = {}
    for crowd, each in FILLED.items():
        folder = shutil.copytree(answered, tmp_path_factory.mktemp(crowd) / "tasks")
        export(folder, crowd, folder / "out", "https://pictures.example.org/images")
        found |= {(crowd, name): make(folder) for name, make in each.items()}
    return found


def told(folder, worker_of=lambda worker: worker):
    """The votes as a set of what each person said, whatever the person is called."""
    people: dict[str, set[tuple[str, str, str]]] = {}
    for vote in last_votes(folder):
        people.setdefault(worker_of(vote.worker), set()).add((vote.item, vote.question, vote.answer))
    return sorted(map(sorted, people.values()))


def put(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_every_crowd_that_exports_and_imports_is_tested():
    assert set(FILLED) == {name for name, each in CROWDS.items() if each.ballots}
    assert set(FILLED) == {name for name, each in CROWDS.items() if each.export}


@pytest.mark.parametrize(("crowd", "name"), FILES)
def test_what_is_exported_and_answered_comes_back_as_the_same_votes(crowd, name, filled, answered, tasks_folder):
    path = put(tasks_folder, name, filled[crowd, name])
    taken = take_file(tasks_folder, path)
    assert (taken.new, taken.there, taken.left_out) == (44 * 3 * 3, 0, [])
    assert told(tasks_folder) == told(answered)
    again = take_file(tasks_folder, path)
    assert (again.new, again.there) == (0, 44 * 3 * 3)


def without_items(text):
    for name in ("Input.item_", "META_item", '"item"', "item"):
        if name in text:
            return text.replace(name, name.replace("item", "thing"))
    raise AssertionError("this file has no items")


BAD = {
    "empty": lambda text, release: "",
    "only blanks": lambda text, release: " \n",
    "only headings": lambda text, release: "[]" if text[0] == "[" else "" if text[0] == "{" else text.splitlines()[0],
    "truncated": lambda text, release: text[: int(len(text) * 0.7)].rstrip(",\"}\n") + ', "',
    "another encoding": lambda text, release: text.encode("utf-16"),
    "another release": lambda text, release: text.replace(release, "f" * 64),
    "a binary": lambda text, release: b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\xff\xfe" * 50,
    "zeros": lambda text, release: b"\x00" * 2000,
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize(("crowd", "name"), FILES)
def test_a_bad_file_is_one_line_that_names_it_and_changes_nothing(crowd, name, kind, filled, tasks_folder):
    path = put(tasks_folder, name, BAD[kind](filled[crowd, name], files.read(tasks_folder).release))
    assert str(path) in refused("import", tasks_folder, path)
    assert last_votes(tasks_folder) == []


@pytest.mark.parametrize(("crowd", "name"), FILES)
def test_a_file_without_the_items_gives_no_vote(crowd, name, filled, tasks_folder):
    path = put(tasks_folder, name, without_items(filled[crowd, name]))
    with suppress(VerifyError):
        taken = take_file(tasks_folder, path)
        assert taken.new == 0
        assert taken.left_out
    assert last_votes(tasks_folder) == []


@pytest.mark.parametrize(("crowd", "name"), FILES)
def test_rows_that_come_twice_count_once(crowd, name, filled, answered, tasks_folder):
    text = filled[crowd, name]
    if text[0] == "[":
        twice = json.dumps(json.loads(text) * 2)
    else:
        head, *rest = text.splitlines(keepends=True)
        twice = text + text if text[0] == "{" else head + "".join(rest) * 2
    assert take_file(tasks_folder, put(tasks_folder, name, twice)).new == 44 * 3 * 3
    assert told(tasks_folder) == told(answered)


@pytest.mark.parametrize(("crowd", "name"), FILES)
def test_a_cut_file_never_gives_a_vote_that_was_not_cast(crowd, name, filled, answered, prepared, tmp_path):
    text, cast = filled[crowd, name], {(v.item, v.question, v.answer) for v in last_votes(answered)}
    folder = shutil.copytree(prepared, tmp_path / "cut")
    for part in range(1, 20):
        cut = len(text) * part // 20 + part
        with suppress(VerifyError):  # a cut at the end of a row is no error
            take_file(folder, put(folder, name, text[:cut]))
    assert {(v.item, v.question, v.answer) for v in last_votes(folder)} <= cast


def test_cancelled_empty_and_predicted_annotations_are_no_votes(filled, tasks_folder):
    tasks = json.loads(filled["label-studio", "full.json"])
    first, second, third = tasks[:3]
    first["annotations"][0] |= {"was_cancelled": True, "result": []}
    first["annotations"][1]["completed_by"] = {"id": 2, "email": "b@example.org", "first_name": ""}
    second["annotations"][0]["result"] = []
    third["predictions"] = [{"id": 1, "result": third["annotations"][0]["result"], "model_version": "m"}]
    third["annotations"] = []
    taken = take_file(tasks_folder, put(tasks_folder, "odd.json", json.dumps(tasks)))
    assert taken.left_out == [
        "1 cancelled annotations were skipped", "1 tasks without an annotation were skipped",
        "1 submissions without answers were skipped",
    ]  # fmt: skip
    assert taken.new == (44 * 3 - 1 - 1 - 3) * 3
    assert {vote.worker for vote in last_votes(tasks_folder)} == {f"label-studio:{number}" for number in (1, 2, 3)}


def test_json_min_with_an_unanswered_question_and_a_task_of_nobody(filled, tasks_folder):
    rows = json.loads(filled["label-studio", "min.json"])
    del rows[0]["unsafe"]
    rows[1] |= {"foreground": {"choices": ["no"]}, "annotator": "anna@example.org"}
    for name in ("annotator", "annotation_id"):
        del rows[2][name]
    taken = take_file(tasks_folder, put(tasks_folder, "min.json", json.dumps(rows)))
    assert taken.left_out == ["1 tasks without an annotation were skipped"]
    assert taken.new == (44 * 3 - 1) * 3 - 1
    (vote,) = [v for v in last_votes(tasks_folder, "label-studio:anna@example.org") if v.question == "foreground"]
    assert vote.answer == "no"


def test_returned_submissions_do_not_count_and_further_columns_do_no_harm(filled, tasks_folder):
    rows = list(csv.DictReader(filled["prolific", "wide.csv"].splitlines()))
    rows[0]["Status"], rows[1]["Status"] = "RETURNED", "TIMED-OUT"
    path = put(tasks_folder, "results.csv", table([{"Age": "40", **row} for row in rows]))
    taken = take_file(tasks_folder, path)
    assert taken.left_out == ["2 returned, rejected or timed-out submissions were skipped"]
    assert taken.new == (44 * 3 - 2) * 3
    no_answers = [{key: row[key] for key in ("Participant ID", "META_item", "META_release")} for row in rows]
    assert "expected a column for each question" in refused(
        "import", tasks_folder, put(tasks_folder, "bare.csv", table(no_answers))
    )


def test_anonymised_votes_name_nobody_and_give_the_same_verdicts(few_rounds, answered, prepared, tmp_path):
    folder = shutil.copytree(answered, tmp_path / "from")
    main(["export", str(folder), "--to", "csv", "--anonymous", "--out", str(tmp_path / "open")])
    path = tmp_path / "open" / "votes.csv"
    text = path.read_text()
    assert "person" not in text
    assert not any(name in text for name in PEOPLE)
    other = shutil.copytree(prepared, tmp_path / "to")
    assert take_file(other, path).new == 44 * 3 * 3
    assert told(other) == told(folder)
    before, after = (aggregate(each, Rule("majority"), Limits()).rows for each in (folder, other))
    assert before == after
    back = take_file(folder, path)  # whose they are is known here
    assert (back.new, back.there) == (0, 44 * 3 * 3)


def test_votes_held_for_review_are_not_among_the_anonymised_ones(answered, tmp_path, monkeypatch, capsys):
    folder = shutil.copytree(answered, tmp_path / "from")
    monkeypatch.setattr(Store, "fast", lambda self: {"person:anna": 0.2})
    main(["export", str(folder), "--to", "csv", "--anonymous", "--out", str(tmp_path / "open")])
    assert "votes of 1 annotators who are excluded or submitted a task too fast are left out" in capsys.readouterr().err
    assert len((tmp_path / "open" / "votes.csv").read_text().splitlines()) == 1 + 44 * 3 * 2
