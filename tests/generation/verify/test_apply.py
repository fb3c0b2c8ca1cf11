"""A new version of the release: verified rows, rejected rows, anonymous votes; the old one stays as it was."""

import json
import shutil

import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from d3s_dataset import D3S
from d3s_dataset.check import check_release
from d3s_dataset.manifest import read
from generation.verify.aggregate import verdicts
from generation.verify.aggregate.rules import Rule
from generation.verify.aggregate.votes_to_verdicts import aggregate
from generation.verify.aggregate.worker_quality import Limits
from generation.verify.apply import apply
from generation.verify.votes.secret import anonymous, secret
from generation.verify.votes.store import Store, Vote
from tests.generation.verify.conftest import all_opinions, refused
from tests.support.releases import rows_of, same_bytes

WORKERS = ("mturk:A2ZK9WORKER", "prolific:5f9feedface", "person:anna")


def vote(folder):
    store = Store(folder)
    store.record(
        Vote(f"{worker}", item, question, answer, seconds=5.0, source="mturk:ASSIGNMENT77")
        for worker, _, item, question, answer in all_opinions(folder, WORKERS)
    )
    store.close()


@pytest.fixture(scope="module")
def voted(few_rounds, prepared, tmp_path_factory):
    folder = shutil.copytree(prepared, tmp_path_factory.mktemp("voted") / "tasks")
    vote(folder)
    aggregate(folder, Rule(), Limits())
    return folder


@pytest.fixture(scope="module")
def verified(redrawn, voted, tmp_path_factory):
    before = shutil.copytree(redrawn, tmp_path_factory.mktemp("before") / "d3s")
    out = tmp_path_factory.mktemp("verified") / "d3s"
    apply(redrawn, voted, out)
    assert same_bytes(before, redrawn)
    return out


def test_every_claim_of_the_new_version_holds(verified, command):
    assert check_release(verified) == []
    result = command("d3s_dataset.check", verified)
    assert result.returncode == 0, result.stdout
    assert "validation_rejected rows" in result.stdout


def test_load_dataset_gives_the_verified_split(verified, voted):
    found = {key for key, each in verdicts.read(voted).rows.items() if each.verified}
    data = load_dataset(str(verified))
    assert set(data) == {"train", "validation", "validation_rejected"}
    assert set(data["validation"]["key"]) == found
    assert len(data["validation"]) + len(data["validation_rejected"]) == 80
    assert all(data["validation"]["verified"])
    rejected = data["validation_rejected"]
    assert {True} not in [set(rejected["verified"])]
    assert sum(each is None for each in rejected["verified"]) == 40
    assert {each for each in rejected["votes_drawn"] if each} == {"random:40 of 80, seed 1"}
    assert set(data["train"]["verified"]) == {None}
    both = load_dataset(str(verified), split="validation+validation_rejected")
    assert len(both) == 80
    guides = load_dataset(str(verified), "guides")
    assert {split: sorted(rows["key"]) for split, rows in guides.items()} == {
        split: sorted(data[split]["key"]) for split in ("validation", "validation_rejected")
    }


def test_the_votes_are_a_config(verified, voted):
    votes = load_dataset(str(verified), "votes", split="validation")
    assert len(votes) == 44 * 3 * 3
    assert set(votes["worker"]) == {anonymous(secret(voted), worker) for worker in WORKERS}
    assert set(votes["answer"]) <= {"yes", "no", "unsure"}
    assert sum(each is not None for each in votes["expected"]) == 4 * 2 * 3
    builder = D3S(data_dir=verified, config_name="votes", cache_dir=str(verified.parent / "cache"))
    builder.download_and_prepare()
    assert builder.as_dataset(split="validation").features == votes.features


def test_images_are_what_they_were(redrawn, verified):
    old, new = rows_of(redrawn), rows_of(verified)
    told = {
        "verified",
        "votes",
        "votes_foreground",
        "votes_background",
        "votes_unsafe",
        "votes_posterior",
        "votes_drawn",
    }
    assert old.keys() == new.keys()
    for key, row in old.items():
        assert {name: new[key][name] for name in row if name not in told} == {
            name: value for name, value in row.items() if name not in told
        }
    for shard in read(redrawn).shards:
        if shard.split == "train":
            assert (verified / shard.path).read_bytes() == (redrawn / shard.path).read_bytes()


def test_the_card_says_who_verified_what(verified, voted):
    text = (verified / "README.md").read_text()
    found = [each.verified for each in verdicts.read(voted).rows.values()]
    assert f"People looked at 40 of its images and confirmed {found.count(True)}" in text
    assert "random:40 of 80, seed 1, without regard to any classifier" in text
    assert "396 answers; 3 people whose votes count, 0 left out" in text
    assert "- crowdsourced" in text


def test_no_worker_id_or_secret_is_in_the_new_version(verified, voted):
    words = [part for worker in WORKERS for part in worker.split(":")[1:]]
    words += ["ASSIGNMENT77", secret(voted).hex(), str(voted)]
    for path in verified.rglob("*"):
        if path.is_file():
            text = path.read_bytes()
            if path.suffix == ".parquet":
                text += json.dumps([str(row) for row in pq.read_table(path).to_pylist()][:500]).encode()
            assert not [word for word in words if word.encode() in text], path


def test_the_same_votes_give_the_same_bytes(redrawn, voted, verified, tmp_path):
    apply(redrawn, voted, tmp_path / "again")
    assert same_bytes(verified, tmp_path / "again")


def damage(verified, tmp_path, change):
    """A copy of the new version in which one row of `validation` was changed by a careless editor."""
    from d3s_dataset.identity import file_digest

    copy = shutil.copytree(verified, tmp_path / "d3s")
    (path,) = copy.glob("data/validation-*")
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[0].update(change)
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), path)
    manifest = json.loads((copy / "manifest.json").read_text())
    for entry in manifest["shards"]:
        if entry["path"].endswith(f"data/{path.name}"):
            entry.update(bytes=path.stat().st_size, sha256=file_digest(path))
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return check_release(copy)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"votes_foreground": 1}, "lists 1 yes votes for foreground, config votes has 3"),
        ({"votes": 9}, "lists 9 annotators, config votes has 3"),
        ({"verified": False}, "is not verified: expected it in validation_rejected"),
    ],
)
def test_a_false_claim_about_votes_is_found(verified, tmp_path, change, says):
    assert any(says in problem for problem in damage(verified, tmp_path, change))


def test_bad_input_is_one_clear_line(redrawn, sample_release, voted, tasks_folder, tmp_path):
    (tmp_path / "there").mkdir()
    later = shutil.copytree(voted, tmp_path / "later")
    store = Store(later)
    item = store.last()[0].item
    store.record([Vote("person:late", item, "unsafe", "no")])
    store.close()
    cases = [
        (redrawn, tasks_folder, tmp_path / "a", "has no verdicts.json"),
        (sample_release, voted, tmp_path / "b", "was prepared from release"),
        (redrawn, voted, tmp_path / "there", "exists already"),
        (redrawn, later, tmp_path / "c", "votes newer than the verdicts"),
    ]
    for release, folder, out, says in cases:
        assert says in refused("apply", release, folder, "--out", out)
    assert "holds no votes yet" in refused("aggregate", tasks_folder)
    assert "already" in refused("prepare", redrawn, "--out", tmp_path / "there")


def test_people_are_not_asked_twice(verified, tmp_path):
    assert "is verified already" in refused("prepare", verified, "--out", tmp_path / "tasks")


HOSTILE = [(field, name) for field in ("path", "config") for name in ("../../outside", "{}/outside", "a/../../../x")]


@pytest.mark.parametrize(("field", "name"), [*HOSTILE, ("path", "link/outside")])
def test_names_of_a_hostile_manifest_lead_nowhere(redrawn, voted, tmp_path, field, name):
    release, home = shutil.copytree(redrawn, tmp_path / "r" / "d3s"), tmp_path / "home"
    home.mkdir()
    (home / "outside").write_text("mine")
    (release / "link").symlink_to(home)
    manifest = json.loads((release / "manifest.json").read_text())
    split = "train" if field == "path" else "validation"
    own = [each for each in manifest["shards"] if each["split"] == split]
    entry = next(each for each in own if field == "path" or each["config"] != "default")
    (tmp_path / "r" / "outside").write_bytes((release / entry["path"]).read_bytes())
    entry[field] = name.format(home)
    (release / "manifest.json").write_text(json.dumps(manifest))
    assert "was prepared from" not in refused("apply", release, voted, "--out", tmp_path / "out" / "d3s")
    assert (home / "outside").read_text() == "mine"
    assert not (tmp_path / "out" / "d3s").exists()
    assert not list(tmp_path.glob("out/*"))
