"""Values of a board's page: the report's own text of every number, links from checked names alone, names and words."""

import csv
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from benchmark import leaderboard, report, submit
from benchmark.board.links import HUB, dataset_page, paper_page, weights_page
from benchmark.board.page import lead, short_names, states
from benchmark.board.rules import Rules
from benchmark.board.schema import Board, Entry
from benchmark.board.submission import Description
from benchmark.data.split import open_split
from tests.benchmark.board.conftest import answers, provenance, refused, written
from tests.benchmark.board.test_board import reproduced


def test_every_number_of_the_board_is_the_report_s(make, tmp_path, monkeypatch):
    """81 of 400 right: 20.25 %, which a browser rounds to 20.3 and Python to 20.2."""
    image = make.jpeg(np.zeros((8, 8, 3), np.uint8))
    rows = [make.record(i, image, i // 10 * 20, i % 10, foreground_source=f"foreground-{i // 10}",
                        background_source=f"background-{i % 10}-{i // 10 % 3}") for i in range(400)]  # fmt: skip
    release = make.write_release(tmp_path / "d3s", {"validation": rows}, kind="d3s")
    root, out = tmp_path / "submissions", tmp_path / "board"
    leaderboard.main([str(root), "--begin", "--dataset", str(release)])
    split = open_split(release, "default", "validation")
    made = split.predictions(answers(split.foreground, 81 / 400, 0))
    path = written(tmp_path / "results", replace(made, provenance=provenance(split.facts(), "toy")))
    line = ["--repo-id", str(root), "--training-data", "imagenet", "--dataset", str(release)]
    submit.main([str(path), *line])
    monkeypatch.setattr("tests.benchmark.board.test_board.IMAGES", 400)
    reproduced(root, "toy")
    leaderboard.main([str(root), "--out", str(out), "--dataset", str(release)])
    report.main([str(path), "--out", str(tmp_path / "report.html")])
    (entry,) = data_of(out / "index.html")["entries"]
    numbers = entry["numbers"]
    assert numbers["all"]["shown"] == "20.2"
    head = dict(zip(*csv_rows(tmp_path / "report-headline.csv"), strict=True))
    worst = numbers["cells"][numbers["worst"]]
    board = (numbers["all"]["shown"], numbers["all"]["ends"], numbers["top5"]["shown"], numbers["worst"])
    shown = ("top-1 %", "95 % interval", "top-5 %", "worst background", "its top-1 %", "worst minus all, points")
    # The report writes every change as after minus before.
    assert (*board, worst["shown"], f"-{numbers['gap']['shown']}") == tuple(head[each] for each in shown)
    rows = csv_rows(tmp_path / "report-backgrounds.csv")[1:]
    assert {name: (cell["shown"], cell["ends"]) for name, cell in numbers["cells"].items()} == {
        name: (share, ends) for name, share, ends in rows
    }
    assert "is first with 20.2 % top-1" in data_of(out / "index.html")["leads"]["imagenet"]


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page.read_text())[1])


def csv_rows(path):
    return list(csv.reader(path.read_text().splitlines()))


def entry(name="toy", **facts):
    return Entry(id=f"{name}--0123456789ab", content="c", state="recomputed", section="imagenet", model=name, **facts)


@pytest.mark.parametrize(("name", "source", "repo", "address"), [
    ("hf-hub:org/net", "Hub", "hf-hub:org/net", f"{HUB}/org/net"),
    ("resnet50.a1_in1k", "timm", None, f"{HUB}/timm/resnet50.a1_in1k"),
    ("resnet50", "timm", None, None),
    ("resnet50 + mine.pt", "file", None, None),
    ("../evil.x", "timm", None, None),
    ("x.y/../../evil", "timm", None, None),
    ("x.y?z=1", "timm", None, None),
    ("hf-hub:../evil", "Hub", "hf-hub:../evil", None),
    ("hf-hub:a..b/evil", "Hub", "hf-hub:a..b/evil", None),
    ("hf-hub:.a/b.", "Hub", "hf-hub:.a/b.", None),
])  # fmt: skip
def test_weights_lead_to_the_hub_or_nowhere(name, source, repo, address):
    assert weights_page(entry(name, source=source, repo=repo)) == address


@pytest.mark.parametrize(("typed", "kept", "address"), [
    ("arXiv:2211.10370", "arXiv:2211.10370", "https://arxiv.org/abs/2211.10370"),
    ("arxiv:2211.10370V2", "arXiv:2211.10370v2", "https://arxiv.org/abs/2211.10370v2"),
    ("https://arxiv.org/pdf/2211.10370", "arXiv:2211.10370", "https://arxiv.org/abs/2211.10370"),
    ("arXiv:hep-th/9901001", "arXiv:hep-th/9901001", "https://arxiv.org/abs/hep-th/9901001"),
    ("doi:10.1000/a(1)2", "doi:10.1000/a(1)2", "https://doi.org/10.1000/a(1)2"),
    ("https://doi.org/10.1109/5.771073", "doi:10.1109/5.771073", "https://doi.org/10.1109/5.771073"),
])  # fmt: skip
def test_papers_are_named_by_arxiv_or_doi(typed, kept, address):
    said = Description(training_data="imagenet", paper=typed)
    assert (said.paper, paper_page(said.paper)) == (kept, address)
    assert Description.model_validate_json(said.model_dump_json()) == said


@pytest.mark.parametrize("typed", [
    "https://evil.example/2211.10370", "javascript:alert(1)",
    "arXiv:2211.10370?x", "https://arxiv.org.evil.example/abs/1",
    "doi:10.1000/../../x", "doi:10.1000/a b", 'doi:10.1000/a"onclick=', "2211.10370",
    "http://arxiv.org/abs/2211.10370", "",
    "arXiv:2211.10370\n", "arXiv:٢٢١١.١٠٣٧٠",
])  # fmt: skip
def test_no_other_address_is_taken(typed):
    with pytest.raises(ValidationError, match="expected arXiv:ID, doi:DOI"):
        Description(training_data="imagenet", paper=typed)


def test_a_bad_paper_is_one_line(measured, board, release, tmp_path):
    line = [measured(tmp_path), "--repo-id", board, "--training-data", "web", "--dataset", release]
    told = refused(submit.main, *line, "--paper", "https://evil.example/")
    assert told.startswith("paper: ")
    assert "expected arXiv:ID, doi:DOI" in told


def test_datasets_lead_to_the_hub():
    assert dataset_page("org/d3s") == f"{HUB}/datasets/org/d3s"
    assert (dataset_page(None), dataset_page("../x"), dataset_page("/tmp/d3s")) == (None, None, None)


def test_names_keep_what_distinguishes_them():
    long = "hf-hub:laboratory-of-vision/vit_large_patch14_clip_336.openai_ft_in12k_{}_in1k_of_a_very_long_recipe"
    ends = short_names([entry(long.format("") + end) for end in "ab"])
    assert [each[-1] for each in ends.values()] == ["a", "b"]
    assert all(len(each) < 50 for each in ends.values())
    middles = short_names([entry(long.format(each)) for each in "ab"])
    assert list(middles.values()) == [long.format("a"), long.format("b")]
    twice = [entry("toy"), entry("toy").model_copy(update={"id": "toy--ffff"})]
    assert list(short_names(twice).values()) == ["toy (012345)", "toy (ffff)"]


def test_states_in_words():
    rules = Rules(name="d3s", kind="d3s", digest="d", config="default", split="validation", n=1)
    assert states(Board(rules=rules, entries=[])) == "No submissions yet."
    waiting = [entry("a"), entry("b")]
    assert states(Board(rules=rules, entries=waiting[:1])) == "Of 1 submission, 1 waits to be reproduced."
    assert states(Board(rules=rules, entries=waiting)) == "Of 2 submissions, 2 wait to be reproduced."
    assert lead(waiting, "imagenet") == "No model trained on ImageNet only is ranked yet; 2 wait to be reproduced."
    only = [*waiting, entry("c", source="predictions only")]  # nothing that could be run again: it does not wait
    assert states(Board(rules=rules, entries=only)) == (
        "Of 3 submissions, 2 wait to be reproduced, 1 holds predictions only and is never ranked."
    )
    assert lead(only, "imagenet") == lead(waiting, "imagenet")
    assert lead(waiting, "web") == "No model trained on data of the web is ranked yet."
