"""Boards: states, ranks and tiers, the same bytes everywhere, nothing computed twice."""

import json
import re
import shutil

import pytest
import yaml

from benchmark import leaderboard
from benchmark.board import fold as boards
from benchmark.board import reuse, site
from benchmark.board.intake import digest_or_none
from benchmark.board.ranking import REPRODUCED
from benchmark.board.rules import read_rules
from benchmark.board.schema import Board, Record
from benchmark.board.site import task_id
from benchmark.board.submission import FOLDER
from benchmark.metrics.compute import METRICS_VERSION
from d3s_dataset.manifest import to_json
from d3s_dataset.utils.escape import markdown
from tests.benchmark.board.conftest import IMAGES, refused
from tests.conftest import ROOT


def reproduced(root, *names, passed=True):
    """Write the owner's records, in the order of the names."""
    folders = sorted((root / FOLDER).iterdir(), key=lambda folder: _place(names, folder))
    for sequence, folder in enumerate(folders):
        if folder.name.split("--")[0] in names:
            content, same = digest_or_none(folder, IMAGES), 9 if passed else 1
            record = Record(id=folder.name, content=content, seed=1, rows=9, same=same, passed=passed, device="cpu",
                            tolerance=0.05, sequence=sequence)  # fmt: skip
            path = root / REPRODUCED / f"{folder.name}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(to_json(record))


def _place(names, folder):
    name = folder.name.split("--")[0]
    return (names.index(name) if name in names else len(names)), folder.name


def build(root, release, out):
    leaderboard.main([str(root), "--out", str(out), "--dataset", str(release)])
    return Board.model_validate_json((out / "board.json").read_bytes())


def by_name(board):
    return {each.id.split("--")[0]: each for each in board.entries}


@pytest.fixture(scope="module")
def five(empty_board, release, measured, send, tmp_path_factory):
    """Two good models that do not differ, a poor one, one trained on the web, one that was not run again."""
    scratch = tmp_path_factory.mktemp("five")
    root = shutil.copytree(empty_board, scratch / "submissions")
    for index, (name, accuracy, training) in enumerate(
        [("best", 0.8, "imagenet"), ("nearly", 0.79, "imagenet"), ("poor", 0.2, "imagenet"),
         ("clip", 0.9, "web"), ("unseen", 1.0, "imagenet")]
    ):  # fmt: skip
        send(measured(scratch / "results", name, accuracy, index, digest=f"{index}a" * 32), root, training=training)
    reproduced(root, "best", "nearly", "poor", "clip")
    out = scratch / "board"
    return root, out, build(root, release, out)


def test_only_what_was_run_again_is_ranked_and_sections_do_not_mix(five):
    entries = by_name(five[2])
    assert {name: (each.rank, each.tier) for name, each in entries.items()} == {
        "best": (1, 1), "nearly": (2, 1), "poor": (3, 2), "clip": (1, 1), "unseen": (None, None)
    }  # fmt: skip
    assert entries["nearly"].versus.p > boards.SAME_TIER > entries["poor"].versus.p
    assert entries["unseen"].state == "recomputed"
    assert entries["best"].numbers.all.right == 96


def test_the_same_bytes_elsewhere_and_check(five, release, tmp_path, capsys):
    root, out, _ = five
    moved = shutil.copytree(root, tmp_path / "elsewhere")
    build(moved, release, tmp_path / "again")
    for name in ("board.json", "board.csv", "board.md", "index.html", "README.md"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes(), name
    leaderboard.main([str(moved), "--out", str(out), "--dataset", str(release), "--check"])
    assert "byte for byte" in capsys.readouterr().out
    text = (tmp_path / "again" / "board.json").read_text()
    assert "NaN" not in text
    (tmp_path / "again" / "board.json").write_text(text.replace('"right": 96', '"right": 97'))
    line = [moved, "--out", tmp_path / "again", "--dataset", release, "--check"]
    assert "board.json differ" in refused(leaderboard.main, *line)


def test_the_files_for_people(five):
    _, out, board = five
    assert (out / "README.md").read_text().startswith("---\ntitle: toy leaderboard\n")
    assert "sdk: static" in (out / "README.md").read_text()
    table = (out / "board.md").read_text()
    assert "| best | 1 | 1 | 80.0 |" in table
    assert "| timm | 9 of 120 |" in table  # what is claimed for 120 images stands on 9
    data = json.loads(re.search(r'id="data">(.*?)</script>', (out / "index.html").read_text())[1])
    for each in data["entries"]:
        whole, gap = each["numbers"]["all"], each["numbers"]["gap"]
        ends = re.escape(markdown(whole["ends"]))
        row = rf"\| {each['model']} \|.*\| {whole['shown']} \| {ends} \|.*\| {gap['shown']} \|"
        assert bool(re.search(row, table)) == bool(each["rank"])  # the same text on the page and in the table
    assert len((out / "board.csv").read_text().splitlines()) == 6
    pages = {path.name for path in (out / "models").iterdir()}
    assert pages == {f"{each.id}.html" for each in board.entries if each.rank}


def test_the_table_in_a_readme_and_a_card(five, release, tmp_path, capsys):
    root, out, _ = five
    paths = [tmp_path / "README.md", tmp_path / "card.md"]
    texts = [(ROOT / name).read_text() for name in ("README.md", "dataset_card.md")]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    line = [str(root), "--out", str(out), "--dataset", str(release), "--into", *map(str, paths)]
    for _ in range(2):  # the second time nothing changes
        leaderboard.main(line)
        for path, text in zip(paths, texts, strict=True):
            before, _, after = re.split(r"(?s)(?<=begin results -->\n)(.*)(?=\n<!-- d3s:end results)", text)
            assert path.read_text() == before + (out / "board.md").read_text().rstrip() + after
    leaderboard.main([*line, "--check"])
    assert "byte for byte" in capsys.readouterr().out
    paths[1].write_text(paths[1].read_text().replace("| best | 1 |", "| mine | 1 |"))
    assert "card.md differ" in refused(leaderboard.main, *line, "--check")
    (tmp_path / "none.md").write_text("# none")
    assert "none.md: expected one block 'results'" in refused(leaderboard.main, *line, tmp_path / "none.md")
    assert "missing.md cannot be read" in refused(leaderboard.main, *line, tmp_path / "missing.md")


def test_what_registers_a_benchmark_on_the_hub(five, release, tmp_path):
    root, out, board = five
    out = shutil.copytree(out, tmp_path / "board")
    leaderboard.main([str(root), "--out", str(out), "--dataset", str(release), "--eval-yaml"])
    said = yaml.safe_load((out / "eval.yaml").read_bytes())
    assert {name: type(each) for name, each in said.items()} == {
        "name": str, "description": str, "evaluation_framework": str, "tasks": list
    }  # fmt: skip
    assert said["tasks"] == [{"id": "default_validation", "config": "default", "split": "validation"}]
    assert said["tasks"][0]["id"] == task_id(board.rules)  # what scores name


def test_what_is_unchanged_is_not_computed_again(five, release, tmp_path, monkeypatch, measured, send):
    root, out, board = five
    root, out = shutil.copytree(root, tmp_path / "submissions"), shutil.copytree(out, tmp_path / "board")
    calls = []
    monkeypatch.setattr(boards, "measured", lambda pending, *more: calls.extend(pending) or REAL(pending, *more))
    monkeypatch.setattr(boards, "over_all", lambda *_: pytest.fail("a test was made again"))
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    assert build(root, release, out) == board
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before
    assert calls == []
    send(measured(tmp_path / "results", "new", 0.1, 9, digest="9b" * 32), root)
    assert by_name(build(root, release, out))["new"].state == "recomputed"
    assert len(calls) == 1


REAL = boards.measured


def change(folder, **fields):
    """Edit a submission by hand, past what benchmark.submit refuses."""
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | fields))


def sent(send, measured, root, out, name, seed, accuracy=0.5, **facts):
    """Submit and return the folder."""
    before = set((root / FOLDER).glob("*"))
    send(measured(out / str(len(before)), name, accuracy, seed, **{"digest": f"{seed:064x}"} | facts), root)
    (new,) = set((root / FOLDER).glob("*")) - before
    return new


def record(root, folder, sequence, **fields):
    """Write one record of the owner's."""
    content = digest_or_none(folder, IMAGES)
    facts = {"seed": 1, "rows": 9, "same": 9, "passed": True, "device": "cpu", "tolerance": 0.05} | fields
    path = root / REPRODUCED / f"{folder.name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(json.dumps({"id": folder.name, "content": content, "sequence": sequence, **facts}).encode())


def found_in(board):
    return {each.id: (each.state, each.reason) for each in board.entries}


@pytest.mark.long
def test_withdrawn_duplicate_and_not_reproduced(empty_board, release, measured, send, tmp_path):
    root, out = shutil.copytree(empty_board, tmp_path / "submissions"), tmp_path / "results"
    good, gone, false = (
        sent(send, measured, root, out, name, seed) for seed, name in enumerate(["z", "gone", "false"])
    )
    thief = sent(send, measured, root, out, "a", 0, digest="6c" * 32)  # the answers of `good`, an earlier id
    again = sent(send, measured, root, out, "b", 7, digest=f"{0:064x}")  # the weights of `good`, other answers
    change(gone, withdrawn="trained on the test images")
    for place, each in enumerate((good, gone, thief, again)):
        record(root, each, place + 1)
    record(root, false, 9, same=1, passed=False)
    board = build(root, release, tmp_path / "board")
    assert found_in(board) == {
        good.name: ("reproduced", "9 of 9 images run again agree"),
        thief.name: ("duplicate", f"the same answers or weights as {good.name}"),
        again.name: ("duplicate", f"the same answers or weights as {good.name}"),
        gone.name: ("withdrawn", "trained on the test images"),
        false.name: ("not reproduced", "1 of 9 images run again agree"),
    }
    change(good, notes="changed since")
    assert found_in(build(root, release, tmp_path / "board"))[good.name][0] == "duplicate"  # a record is of one content


@pytest.mark.long
def test_equal_models_rank_by_when_they_were_run_first(empty_board, release, measured, send, tmp_path):
    root, out = shutil.copytree(empty_board, tmp_path / "submissions"), tmp_path / "results"
    first, later = sent(send, measured, root, out, "z", 1), sent(send, measured, root, out, "a", 2)
    record(root, first, 1)
    record(root, later, 2)
    ranks = {each.id: each.rank for each in build(root, release, tmp_path / "board").entries}
    assert ranks == {first.name: 1, later.name: 2}


@pytest.mark.long
def test_only_the_same_hub_repo_run_again_later_supersedes(empty_board, release, measured, send, tmp_path):
    root, out = shutil.copytree(empty_board, tmp_path / "submissions"), tmp_path / "results"
    names = ["hf-hub:lab/model", "hf-hub:lab/model", "hf-hub:lab/model@old", "hf-hub:rival/model", "hf-hub:rival/other"]
    old, new, revision, rival, tagged = (
        sent(send, measured, root, out, name, seed, **({"tag": "hf-hub:lab/model"} if "other" in name else {}))
        for seed, name in enumerate(names)
    )
    kwargs = sent(send, measured, root, out, names[0], 9, kwargs={"pad_type": "same"})
    for each in (new, revision, rival, tagged, kwargs):
        change(each, supersedes=old.name)
    change(old, supersedes=new.name)
    record(root, old, 1)
    for place, each in enumerate((revision, rival, tagged, kwargs)):
        record(root, each, 2 + place)
    states = found_in(build(root, release, tmp_path / "board"))
    assert states[old.name][0] == "reproduced"  # nobody has run the heir again, the others are of another source
    assert states[new.name] == ("superseded", f"by {old.name}")  # until it is run again, later
    record(root, new, 9)
    states = found_in(build(root, release, tmp_path / "board"))
    assert states[old.name] == ("superseded", f"by {new.name}")
    assert states[new.name][0] == "reproduced"  # though `old` claims to supersede it: no cycles
    assert {states[each.name][0] for each in (revision, rival, tagged, kwargs)} == {"reproduced"}
    shown = {
        each.id: each.model for each in Board.model_validate_json((tmp_path / "board/board.json").read_bytes()).entries
    }
    assert shown[tagged.name] == "hf-hub:rival/other"  # not its tag, which is whatever its config holds


def test_a_name_that_looks_like_one_that_was_run_again_is_refused(empty_board, release, measured, send, tmp_path):
    root, out = shutil.copytree(empty_board, tmp_path / "submissions"), tmp_path / "results"
    real, copy = (
        sent(send, measured, root, out, f"hf-hub:{org}/ViT-H", seed) for seed, org in enumerate(["openai", "0penAI"])
    )
    assert set(found_in(build(root, release, tmp_path / "board")).values()) == {("recomputed", "")}
    record(root, real, 1)
    record(root, copy, 2)
    states = found_in(build(root, release, tmp_path / "board"))
    assert states[real.name][0] == "reproduced"
    assert states[copy.name] == ("refused", f"its name looks like that of {real.name}")


def test_records_that_prove_nothing_rank_nothing(empty_board, release, measured, send, tmp_path):
    root, out = shutil.copytree(empty_board, tmp_path / "submissions"), tmp_path / "results"
    folder = sent(send, measured, root, out, "toy", 1)
    line = [root, "--out", tmp_path / "board", "--dataset", release]
    record(root, folder, 1, rows=0, same=0)
    assert "rows: Input should be greater than or equal to 1" in refused(leaderboard.main, *line)
    record(root, folder, 1, same=8)  # passed, by its own word
    assert found_in(build(root, release, tmp_path / "board"))[folder.name][0] == "not reproduced"
    record(root, folder, 1, tolerance=None)  # of an older version
    state, reason = found_in(build(root, release, tmp_path / "board"))[folder.name]
    assert (state, "run --reproduce again" in reason) == ("recomputed", True)
    record(root, folder, 1, content="0" * 64)
    assert found_in(build(root, release, tmp_path / "board"))[folder.name] == ("recomputed", "")


def test_a_fold_believes_no_board_that_it_finds(five, release, tmp_path):
    root, out, board = five
    out = shutil.copytree(out, tmp_path / "board")
    path = out / "board.json"
    good = path.read_bytes()
    path.write_bytes(good.replace(b'"top1": 0.8,', b'"top1": 0.999,'))
    assert path.read_bytes() != good
    page = out / "models" / f"{board.entries[0].id}.html"
    content = page.read_bytes()
    page.write_text("<script>")
    build(root, release, out)
    assert path.read_bytes() == good
    assert page.read_bytes() == content


def test_a_mended_metric_is_computed_anew(five, release, tmp_path, monkeypatch):
    root, _, board = five
    calls = []
    monkeypatch.setattr(boards, "measured", lambda pending, *more: calls.extend(pending) or REAL(pending, *more))
    monkeypatch.setattr(reuse, "METRICS_VERSION", METRICS_VERSION + 1)
    assert build(root, release, tmp_path / "board") == board
    assert len(calls) == 5


@pytest.mark.long
def test_twenty_submissions_in_processes(empty_board, release, measured, send, copies, tmp_path):
    root = shutil.copytree(empty_board, tmp_path / "submissions")
    send(measured(tmp_path / "results", "toy", 0.5), root)
    copies(next((root / FOLDER).iterdir()), 19)
    board = build(root, release, tmp_path / "board")
    assert sorted(each.state for each in board.entries) == ["duplicate"] * 19 + ["recomputed"]
    assert len({each.numbers for each in map(without_place, board.entries)}) == 1


def without_place(entry):
    return entry.model_copy(update={"numbers": entry.numbers.model_dump_json()})


@pytest.mark.parametrize("config", ["default", "guides"])
def test_a_board_on_guides_says_that_it_is_not_about_d3s(controlled, tmp_path, capsys, config):
    root, warning = tmp_path / "board", "guides (no model has redrawn them), not D3S"
    line = [str(root), "--begin", "--dataset", str(controlled), "--config", config]
    leaderboard.main([*line, "--rehearsal"] if config == "guides" else line)
    empty = Board(rules=read_rules(root), entries=[])
    shown = [capsys.readouterr().out, *(content.decode() for content in site.files(empty).values())]
    assert (warning in shown[0], warning in site.tables(empty)) == (config == "guides",) * 2
    assert sum(warning in each for each in shown) == (4 if config == "guides" else 0)
    for more in ([], ["--check"], ["--reproduce", "x"]):  # the first line, before there is any submission to rank
        marked = ["--rehearsal"] if config == "guides" else []
        refused(leaderboard.main, root, "--dataset", controlled, "--out", tmp_path / "out", *marked, *more)
        first = capsys.readouterr().out.splitlines()[0]
        assert first.startswith(f"{empty.rules.name} (d3s), config {config}, split validation: {empty.rules.n} images")
        assert (warning in first) == (config == "guides")


def test_bad_input(board, release, tmp_path, toy):
    out = ["--out", tmp_path / "out", "--dataset", release]
    assert "no leaderboard" in refused(leaderboard.main, tmp_path, *out)
    assert "holds no submissions" in refused(leaderboard.main, board, *out)
    assert "is there already" in refused(leaderboard.main, board, "--begin", "--dataset", release)
    assert "expected a release of D3S, or --rehearsal" in refused(
        leaderboard.main, tmp_path / "new", "--begin", "--dataset", toy
    )
    assert "no submission '../x'" in refused(leaderboard.main, board, *out, "--reproduce", "../x")
