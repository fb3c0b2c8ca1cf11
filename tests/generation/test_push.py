"""Pushing over real HTTP, with the real client, to a server on this machine that speaks the Hub's protocol."""

import fnmatch
import hashlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest
import yaml

from d3s_dataset import manifest as manifests
from d3s_dataset.card import files as describing
from d3s_dataset.card import render as card
from d3s_dataset.manifest import Manifest
from generation.execution.options import How
from generation.planning.plan import Plan
from generation.publish.staging import METADATA
from generation.recipe.recipe import load_recipe
from generation.release.build import generate
from generation.run import open_sources
from tests.conftest import ROOT, one_line_error
from tests.support.hub_server import READER, TOKEN, Faults, hub
from tests.support.hub_store import folder_files

REPO = "lab/d3s"
SHARDS = 9


@pytest.fixture(scope="module")
def one_server():
    with hub() as running:
        yield running


@pytest.fixture
def server(one_server):
    """An empty Hub; its address stays, since a client reads that once."""
    one_server.reset()
    return one_server


@pytest.fixture(scope="module")
def plan():
    recipe = load_recipe("sample").changed(rows=60)
    return Plan(recipe, *open_sources(recipe, None, None))


@pytest.fixture(scope="module")
def small(plan, tmp_path_factory):
    """24 rows in SHARDS shards."""
    out = tmp_path_factory.mktemp("small") / "d3s"
    generate(plan, out, How(3, workers=1), limit=24)
    return out


@pytest.fixture(scope="module")
def grown(plan, small, tmp_path_factory):
    """The same release with more rows: 12 shards, their names with another number of shards."""
    out = shutil.copytree(small, tmp_path_factory.mktemp("grown") / "d3s")
    generate(plan, out, How(3, workers=1), limit=36)
    return out


@pytest.fixture(scope="module")
def two_configs(small, tmp_path_factory):
    """A release with a config `guides`, of photos that may not be passed on."""
    out = shutil.copytree(small, tmp_path_factory.mktemp("configs") / "d3s")
    manifest = manifests.read(out)
    shutil.copytree(out / "data", out / "guides")
    guides = [each.model_copy(update={"config": "guides", "path": each.path.replace("data/", "guides/")})
              for each in manifest.shards]  # fmt: skip
    change(out, shards=manifest.shards + guides, sources=closed(manifest))
    return out


def closed(manifest):
    return [source.model_copy(update={"redistribution": False}) for source in manifest.sources]


def change(release, **fields):
    changed = manifests.read(release).model_copy(update=fields)
    manifests.write(release, changed)
    describing.write(release, changed)


def recompressed(release, folder, number):
    """Return a copy of a release whose shard `number` holds the same rows in other bytes."""
    copy = shutil.copytree(release, folder)
    shards = manifests.read(copy).shards
    path = copy / shards[number].path
    pq.write_table(pq.read_table(path), path, compression="none")
    content = path.read_bytes()
    shards[number] = shards[number].model_copy(
        update={"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    )
    change(copy, shards=shards)
    return copy


def environment(server, home, token=TOKEN):
    made = os.environ | {"HF_ENDPOINT": server.endpoint, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(home)}
    made |= {"HF_DATASETS_CACHE": str(home / "datasets"), "PYTHONPATH": str(ROOT)}
    return {**made, "HF_TOKEN": token} if token else made


def driver(server, home):
    line, settings = [sys.executable, "-m", "tests.support.push_driver"], environment(server, home, None)
    pipe = subprocess.PIPE
    return subprocess.Popen(line, env=settings, cwd=ROOT, stdin=pipe, stdout=pipe, text=True, bufsize=1)


def start(process, job):
    told = job if isinstance(job, dict) else {"argv": job}
    process.stdin.write(json.dumps({"token": TOKEN, **told}) + "\n")


@pytest.fixture(scope="module")
def one_driver(one_server, tmp_path_factory):
    with driver(one_server, tmp_path_factory.mktemp("hf")) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def pushes(one_driver, server):
    """Run pushes, each given as its arguments or as a job of tests.support.push_driver; return what they said."""

    def run(*jobs):
        answers = []
        for job in jobs:
            start(one_driver, job)
            line = one_driver.stdout.readline()
            assert not any(token in line for token in (TOKEN, READER)), job
            answers.append(json.loads(line))
        return answers

    return run


def to(release, *flags, repo=REPO):
    return [str(release), "--repo-id", repo, *flags]


def done(answers):
    assert [each["code"] for each in answers] == [0] * len(answers), answers
    return answers


def refusal(answer):
    lines = [line for line in answer["err"].splitlines() if not line.startswith("warning: ")]
    assert (answer["code"], len(lines)) == (1, 1), answer
    return lines[0]


def written(server):
    """Return how many requests have changed anything."""
    return sum(method in ("PUT", "POST") for method, _, _ in server.log)


def assert_holds(repo, release):
    """Assert that a repo is a release, byte for byte, and that each of its commits could be read."""
    assert {path: text for path, text in repo.tree.items() if path != ".gitattributes"} == folder_files(release)
    assert repo.tags[f"release-{manifests.read(release).digest[:12]}"] == repo.refs["main"]
    assert_readable(repo)


def assert_readable(repo):
    """Assert that at no commit the manifest names a file that is not there, or the card one that is not its own."""
    assert TOKEN not in "".join(each.title for each in repo.commits)
    trees = [each.tree for each in repo.commits]
    assert all(before != after for before, after in itertools.pairwise(trees)), "an empty commit"
    for tree in trees:
        if "manifest.json" not in tree:
            continue
        manifest = Manifest.model_validate_json(tree["manifest.json"].content)
        assert all(tree[shard.path].sha256 == shard.sha256 for shard in manifest.shards)
        head = yaml.safe_load(tree["README.md"].content.decode().split("---\n", 2)[1])
        for config in head["configs"]:
            for files in config["data_files"]:
                own = {shard.path for shard in manifest.select(config["config_name"], files["split"])}
                assert set(fnmatch.filter(tree, files["path"])) == own


def test_first_unchanged_changed_and_grown(server, pushes, small, grown, tmp_path):
    before = folder_files(small)
    assert "pushed: " in done(pushes(to(small)))[0]["out"]
    repo = server.store.repos[REPO]
    assert_holds(repo, small)
    assert [len(each.tree) for each in repo.commits] == [1, 1 + SHARDS, 1 + SHARDS + len(METADATA)]
    assert server.asked("PUT", "/lfs/") == SHARDS

    server.log.clear()
    assert "nothing to send: " in done(pushes(to(small)))[0]["out"]
    assert written(server) == 0

    changed = recompressed(small, tmp_path / "changed", 2)
    done(pushes(to(changed)))
    assert_holds(repo, changed)
    assert server.asked("PUT", "/lfs/") == 1
    assert server.asked("POST", "/commit/") == 1

    server.log.clear()
    done(pushes(to(grown)))
    assert_holds(repo, grown)
    known = {shard.sha256 for shard in manifests.read(small).shards}
    fresh = [shard for shard in manifests.read(grown).shards if shard.sha256 not in known]
    assert server.asked("PUT", "/lfs/") == len(fresh) < SHARDS
    assert folder_files(small) == before


def test_dry_run_sends_nothing(server, pushes, small, grown, tmp_path):
    first, _, again = done(pushes(to(small, "--dry-run"), to(small), to(grown, "--dry-run")))
    assert "(would be created)" in first["out"]
    assert "  new: 14 files" in first["out"]
    assert "2 commits\ndry run: nothing was uploaded" in first["out"]
    diff = dict(re.findall(r"  ([a-z ]+): (\d+) files", again["out"]))
    assert diff == {"new": "10", "changed": "5", "same": "2", "to delete": str(SHARDS - 2)}
    assert len(server.store.repos[REPO].commits) == 3
    server.log.clear()
    done(pushes(to(grown, "--dry-run"), to(small, "--dry-run", repo="lab/other")))
    assert written(server) == 0


def test_photos_that_may_not_be_passed_on_stay_behind(server, pushes, two_configs, command, tmp_path):
    (dry, plain) = done(pushes(to(two_configs, "--dry-run"), to(two_configs)))
    name = card.closed_sources(manifests.read(two_configs))
    left_out = f"left out: guides: the licence of {name} forbids passing photos on"
    assert left_out in dry["out"]
    assert left_out in plain["err"]
    repo = server.store.repos[REPO]
    assert_readable(repo)
    sent = Manifest.model_validate_json(repo.tree["manifest.json"])
    assert (sent.configs(), sent.withheld) == (["default"], ["guides"])
    assert not [path for path in repo.tree if path.startswith("guides/")]
    assert f"Left out of this copy: `guides`, since the licence of {name}" in repo.tree["README.md"].decode()
    result = command("d3s_dataset.check", REPO, **environment(server, tmp_path))
    assert "all checks passed" in result.stdout, result.stderr

    done(pushes(to(two_configs, "--with-guides")))
    assert {path for path in repo.tree if path.startswith("guides/")} == {
        shard.path for shard in manifests.read(two_configs).shards if shard.config == "guides"
    }
    assert Manifest.model_validate_json(repo.tree["manifest.json"]) == manifests.read(two_configs)
    done(pushes(to(two_configs)))
    assert not [path for path in repo.tree if path.startswith("guides/")]
    assert_readable(repo)


def test_private_and_gated(server, pushes, small):
    done(pushes(to(small, "--private", "--gated"), to(small, "--private", "--gated")))
    repo = server.store.repos[REPO]
    assert (repo.private, repo.gated, len(repo.commits)) == (True, "auto", 3)
    head = yaml.safe_load(repo.tree["README.md"].decode().split("---\n", 2)[1])
    assert "ImageNet" in head["extra_gated_prompt"]
    assert head["extra_gated_fields"]["Affiliation"] == "text"


def test_a_pull_request_leaves_main_alone_and_is_gone_on_with(server, pushes, small, grown):
    done(pushes(to(small)))
    repo = server.store.repos[REPO]
    main = repo.refs["main"]
    jobs = [{"argv": to(grown, "--create-pr"), "files_per_commit": 5, "token": READER}] * 2
    first, again = done(pushes(*jobs))
    assert "/discussions/1 " in first["out"]
    assert again["out"].startswith("nothing to send: ")
    assert (repo.refs["main"], len(repo.pulls), len(repo.tags)) == (main, 1, 1)
    proposed = {path: each.content for path, each in repo.at("refs/pr/1").tree.items() if path != ".gitattributes"}
    assert proposed == folder_files(grown)
    assert_readable(repo)


def fault_run(server, pushes, small, grown, seeds):
    """Push a release, then a larger one, to one repo a seed, while requests fail at random."""
    server.faults = Faults(0.2, 0)
    jobs = [
        {"argv": to(release, repo=f"lab/d3s-{seed}"), "files_per_commit": 5, "tries": 30}
        for seed in seeds
        for release in (small, grown)
    ]
    done(pushes(*jobs))
    server.faults, count = None, server.faults.count
    for seed in seeds:
        assert_holds(server.store.repos[f"lab/d3s-{seed}"], grown)
    assert count > 10 * len(seeds)


def test_a_failing_server(server, pushes, small, grown):
    fault_run(server, pushes, small, grown, range(5))


@pytest.mark.long
def test_a_failing_server_200_times(server, pushes, small, grown):
    fault_run(server, pushes, small, grown, range(200))


def test_a_server_that_stays_broken_is_given_up_on(server, pushes, small):
    server.faults = Faults(1.0, 0)
    assert "gave up after 4 failures in a row" in refusal(pushes(to(small))[0])


@pytest.mark.parametrize(
    "landed", [0, 3, pytest.param(1, marks=pytest.mark.long), pytest.param(5, marks=pytest.mark.long)]
)
def test_killed_and_typed_again(server, pushes, small, tmp_path, landed):
    server.delay = 0.15
    with driver(server, tmp_path) as process:
        start(process, {"argv": to(small), "files_per_commit": 2})
        deadline = time.monotonic() + 60
        while server.asked("PUT", "/lfs/") < 1 or len(server.store.repos[REPO].commits) < 1 + landed:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    time.sleep(0.4)  # what the server was doing for it ends
    repo = server.store.repos[REPO]
    assert "manifest.json" not in repo.tree
    server.delay = 0.0
    kept, _ = len(server.store.objects), server.log.clear()
    done(pushes(to(small)))
    assert_holds(repo, small)
    assert server.asked("PUT", "/lfs/") == SHARDS - kept


def test_the_tag_follows_the_configs_that_were_sent(server, pushes, two_configs):
    """Without guides, with them, without again: the name of the images is on the commit that was sent last."""
    tag = f"release-{manifests.read(two_configs).digest[:12]}"
    for flags, configs in (([], ["default"]), (["--with-guides"], ["default", "guides"]), ([], ["default"])):
        first, again = done(pushes(to(two_configs, *flags), to(two_configs, *flags)))
        repo = server.store.repos[REPO]
        assert repo.tags == {tag: repo.refs["main"]}
        held = manifests.Manifest.model_validate_json(repo.at(tag).tree["manifest.json"].content)
        assert held.configs() == configs
        assert f"tag {tag}" in first["out"]
        assert "tag" not in again["out"]


def test_a_dry_run_needs_no_token(server, pushes, small):
    job = {"argv": to(small, "--dry-run"), "token": None}
    (answer,) = done(pushes(job))
    assert "would be created, unless a private repo of this name exists" in answer["out"]
    done(pushes(to(small)))
    (answer,) = done(pushes(job))
    assert "same:" in answer["out"]
    assert "0 commits" in answer["out"]


def test_a_citation_that_is_a_link_out_of_the_release_is_not_sent(server, pushes, small, tmp_path):
    copy = shutil.copytree(small, tmp_path / "d3s")
    (tmp_path / "secret").write_text("private key")
    (copy / "CITATION.cff").unlink()
    (copy / "CITATION.cff").symlink_to(tmp_path / "secret")
    (answer,) = pushes(to(copy))
    assert "leads out of" in refusal(answer)
    assert not server.store.objects
    assert REPO not in server.store.repos


def test_somebody_else_commits_in_between(server, pushes, small):
    def by_hand(repo):
        if len(repo.commits) == 3:
            tree = repo.at("main").tree
            repo.add("main", tree | {"LICENSE": tree[".gitattributes"]}, "by hand")

    server.before_commit = by_hand
    (answer,) = done(pushes({"argv": to(small), "files_per_commit": 2}))
    assert "412" in answer["err"]
    repo = server.store.repos[REPO]
    assert [each.title for each in repo.commits].count("by hand") == 1
    assert set(repo.tree) == {*folder_files(small), "LICENSE", ".gitattributes"}
    assert server.asked("PUT", "/lfs/") == SHARDS
    assert_readable(repo)


def test_what_was_pushed_is_what_was_generated(server, sample_release, command, tmp_path):
    home = environment(server, tmp_path)
    result = command("generation.push", sample_release, "--repo-id", REPO, **home)
    assert result.returncode == 0, result.stderr
    assert (result.stderr, result.stdout.count("\n")) == ("", 1)
    assert TOKEN not in result.stdout
    assert_holds(server.store.repos[REPO], sample_release)
    code = """
from datasets import Image, load_dataset
import hashlib
for streaming in (False, True):
    data = load_dataset("lab/d3s", streaming=streaming)
    for split in data:
        rows = data[split].cast_column("image", Image(decode=False))
        for row in rows:
            print(split, row["key"], hashlib.sha256(row["image"]["bytes"]).hexdigest())
"""
    line = [sys.executable, "-c", code]
    read = subprocess.run(line, env=home, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert read.returncode == 0, read.stderr[-3000:]
    expected = []
    for shard in manifests.read(sample_release).shards:
        for row in pq.read_table(sample_release / shard.path, columns=["key", "image"]).to_pylist():
            expected.append(f"{shard.split} {row['key']} {hashlib.sha256(row['image']['bytes']).hexdigest()}")
    assert read.stdout.splitlines() == expected * 2
    result = command("d3s_dataset.check", REPO, **home)
    assert "all checks passed (400 train, 80 validation rows" in result.stdout, result.stderr


def test_bad_input_is_one_line(server, pushes, small, two_configs, tmp_path):
    renamed, damaged, guides = (shutil.copytree(small, tmp_path / name) for name in ("renamed", "damaged", "guides"))
    change(renamed, name="paper")
    change(guides, kind="guides", sources=closed(manifests.read(guides)))
    shard = damaged / manifests.read(damaged).shards[4].path
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    server.store.hold("lab/photos", {".gitattributes": b"", "data/train-00000-of-00001.parquet": b"other rows"})
    server.store.hold("lab/nonsense", {"manifest.json": b'{"version": 3}'})
    server.store.hold("lab/public", {"README.md": b"soon"})
    server.words = f"no rights for Bearer {READER}"
    cases = [
        ({"argv": to(small), "token": None}, "no Hub token on this machine"),
        ({"argv": to(small), "token": "hf_wrong"}, "the Hub does not accept the token"),
        ({"argv": to(small), "token": READER}, "no permission"),
        ({"argv": to(small, repo="lab/public"), "token": READER}, "no permission"),
        ({"argv": to(renamed, repo="lab/nonsense")}, "lab/nonsense holds another data set, this is paper"),
        ({"argv": to(small, repo="lab/photos")}, "holds something else, such as data/train-00000-of-00001.parquet"),
        ({"argv": to(damaged)}, f"{shard} is damaged"),
        ({"argv": to(guides)}, "pass --with-guides if you may"),
        ({"argv": to(tmp_path)}, "has no manifest.json"),
        ({"argv": to(tmp_path / "gone")}, "which is not a folder"),
        ({"argv": to(small, repo="d3s")}, "expected ORG/NAME"),
        ({"argv": to(small, repo="lab/d3s/x")}, "--repo-id"),
        ({"argv": to(small, "--private", repo="lab/public")}, "lab/public is public"),
        ({"argv": to(small, "--create-pr", repo="lab/none")}, "lab/none does not exist"),
        ({"argv": [str(small)]}, "the following arguments are required: --repo-id"),
    ]
    for (job, says), answer in zip(cases, pushes(*(job for job, _ in cases)), strict=True):
        assert says in refusal(answer), job
        assert READER not in answer["err"], job
    assert server.asked("PUT", "") == server.asked("POST", "/commit/") == server.asked("POST", "/create") == 0


def test_another_release_is_refused_and_a_remade_one_replaces(server, pushes, small, tmp_path):
    other, remade = (shutil.copytree(small, tmp_path / name) for name in ("other", "remade"))
    change(other, name="paper")
    change(remade, plan_digest="another")
    older = json.loads((small / "manifest.json").read_text()) | {"a_key_of_another_version": 1}
    server.store.hold("lab/older", {"manifest.json": json.dumps(older).encode()})
    first, refused, replaced = pushes(to(small), to(other), to(remade))
    done(pushes(to(small, repo="lab/older")))
    assert "lab/d3s holds sample, this is paper" in refusal(refused)
    done([first, replaced])
    assert json.loads(server.store.repos[REPO].tree["manifest.json"])["plan_digest"] == "another"


def test_a_repo_that_drops_files_is_found_out(server, pushes, small):
    server.store.hold(REPO, {".gitignore": b"data/"})
    assert "lists data/train-00000-of-00007.parquet otherwise than it was sent" in refusal(pushes(to(small))[0])


def test_an_unreachable_hub_is_one_line(server, small, command, tmp_path):
    home = environment(server, tmp_path) | {"HF_ENDPOINT": "http://127.0.0.1:9"}
    line = one_line_error(command("generation.push", small, "--repo-id", REPO, **home))
    assert line == "error: the Hub at http://127.0.0.1:9 cannot be reached: nothing was sent"
