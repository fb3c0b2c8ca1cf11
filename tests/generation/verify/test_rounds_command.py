"""Rounds at the command line: what prepare records, what export hands out, what aggregate says and refuses."""

import json

import pytest

from generation.verify.__main__ import main
from generation.verify.aggregate import verdicts
from generation.verify.prepare import tasks as files
from generation.verify.prepare.cost import Terms, estimate
from generation.verify.prepare.rounds import Rule, chosen
from generation.verify.votes.store import Store
from tests.generation.verify.conftest import refused
from tests.generation.verify.test_rounds import votes

PREPARE = ("prepare", "nowhere", "--out", "tasks")
BAD = {
    "no numbers": (["--rounds", "3+x"], None),
    "a contradiction": (["--rounds", "3+2", "--annotators", "4"], "--rounds 3+2 are 5 annotators, --annotators says 4"),
    "too few for the rule": (["--rounds", "1+1"], "expected --least of at most that, got 3"),
}


@pytest.mark.parametrize(("given", "says"), BAD.values(), ids=BAD.keys())
def test_a_plan_that_contradicts_itself_is_one_line(capsys, given, says):
    if says:
        assert says in refused(*PREPARE, *given)
        return
    with pytest.raises(SystemExit) as ended:
        main([*PREPARE, *given])
    assert ended.value.code == 1
    assert "expected annotators per round, such as 3+2" in capsys.readouterr().err


def test_the_estimate_states_a_bound_not_a_hope():
    assert estimate(800, 22_400, 5, Terms(), 3)[-1] == (
        "rounds: an image is decided after 3 of 5 votes at the earliest: up to 40 % less than all of this (2,400 "
        "assignments at the least)"
    )
    assert len(estimate(800, 22_400, 5, Terms())) == 3


def test_the_recorded_rule_is_used_unless_another_one_is_typed():
    recorded = Rule("majority", 2, "yes")
    assert chosen(recorded, None, None, None) == recorded
    assert chosen(recorded, "full", 3, None) == Rule("full", 3)
    assert chosen(recorded, None, None, "no") == Rule("majority", 2, "no")
    assert chosen(None, None, None, None) == Rule()


@pytest.fixture
def folder(tasks_folder):
    """Rounds of 2 + 1 by majority; two annotators differ on one image of 40, and agree on the others."""
    held = files.read(tasks_folder)
    change = {"rounds": [2, 1], "rule": Rule("majority", 2), "per_task": 20, "gold": 2}
    files.write(tasks_folder, held.model_copy(update=change))
    store, images = Store(tasks_folder), [item.id for item in held.images]
    store.add_all(votes("person:anna", *images))
    store.add_all(votes("person:ben", *images[1:]) + votes("person:ben", images[0], answer="no"))
    store.close()
    return tasks_folder


def exported(folder, capsys):
    main(["export", str(folder), "--to", "label-studio", "--out", str(folder / "out"), "--images-url", "https://x"])
    rows = json.loads((folder / "out" / "label_studio.json").read_text())
    return {row["data"]["item"] for row in rows}, capsys.readouterr().err


def test_a_later_export_holds_the_open_images_and_fresh_gold_questions(folder, capsys):
    held = files.read(folder)
    items, said = exported(folder, capsys)
    images = {item.id for item in held.images}
    assert items & images == {held.images[0].id}
    assert len(items - images) == held.gold
    assert said == "1 of 40 images are open: set 1 annotators per image\n"
    store = Store(folder)
    store.add_all(votes("person:cleo", held.images[0].id))
    store.close()
    assert "no image is open" in refused("export", folder, "--to", "mturk", "--out", folder / "b", "--images-url", "x")


def test_the_first_export_is_all_tasks(tasks_folder, capsys):
    held = files.read(tasks_folder)
    files.write(tasks_folder, held.model_copy(update={"rounds": [2, 1], "rule": Rule("majority", 2)}))
    items, said = exported(tasks_folder, capsys)
    assert items == set(held.by_id)
    assert said == "40 of 40 images are open: set 2 annotators per image\n"


def test_aggregate_says_what_was_saved_and_refuses_a_rule_that_could_differ(folder, capsys, few_rounds):
    main(["aggregate", str(folder), "--min-gold", "0"])
    out = capsys.readouterr().out
    assert "rounds of 2 + 1: 39 of 120 votes saved (32.5 %); 39 of 40 images are decided, further votes can" in out
    rounds = verdicts.read(folder).rounds
    assert (rounds.saved, rounds.open) == (39, 1)
    assert "39 of 120 votes saved" in (folder / "report.html").read_text()
    said = refused("aggregate", folder, "--rule", "full", "--least", "2")
    assert "the rounds stopped for --rule majority --least 2" in said
    assert "could change the verdict of 39 finished images" in said
    main(["aggregate", str(folder), "--ties", "yes"])
    assert "no finished image can differ under --rule majority --least 2 --ties yes" in capsys.readouterr().err


def test_tasks_of_older_versions_still_read(tasks_folder):
    path = tasks_folder / files.FILE_NAME
    old = json.loads(path.read_text())
    for name in ("rounds", "rule", "per_task", "gold"):
        del old[name]
    path.write_text(json.dumps(old))
    held = files.read(tasks_folder)
    assert (held.rounds, held.rule, held.stops) == ([], None, False)
