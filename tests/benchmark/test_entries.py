"""Lists of models are read as written; the one that ships names models that exist."""

from pathlib import Path

import pytest
import timm

from benchmark.models.registry import check
from benchmark.models.specs import Entry, read_list, shipped
from d3s_dataset.errors import ModelError


def test_a_line_is_a_name_and_its_arguments(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text(
        "# mine\n\nresnet18  # small\n  mobilenetv2_100 pad_type=same depth=2 wide=True\nhf-hub:lab/vit 'note=a b'\n"
    )
    assert read_list(str(path)) == [
        Entry("resnet18"),
        Entry("mobilenetv2_100", {"pad_type": "same", "depth": 2, "wide": True}),
        Entry("hf-hub:lab/vit", {"note": "a b"}),
    ]


def test_a_checkpoint_is_relative_to_the_list_and_no_argument(tmp_path, monkeypatch):
    (tmp_path / "lists").mkdir()
    for name in ("a.pth", "1", "b c.safetensors"):
        (tmp_path / "lists" / name).touch()
    whole = tmp_path / "elsewhere.pth"
    whole.touch()
    (tmp_path / "lists" / "mine.txt").write_text(
        f"resnet18 checkpoint=a.pth depth=2\nresnet18 checkpoint=1\nresnet18 'checkpoint=b c.safetensors'\n"
        f"resnet34 pad=1 checkpoint={whole}\nresnet18\n"
    )
    monkeypatch.chdir(tmp_path)
    lists = Path("lists")
    assert read_list("lists/mine.txt") == [
        Entry("resnet18", {"depth": 2}, lists / "a.pth"),
        Entry("resnet18", {}, lists / "1"),
        Entry("resnet18", {}, lists / "b c.safetensors"),
        Entry("resnet34", {"pad": 1}, whole),
        Entry("resnet18"),
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"# none\n", "names no model"),
        (b"resnet18\nresnet34 pad\n", "line 2: expected KEY=VALUE, got 'pad'"),
        (b"'resnet18\n", "line 1: No closing quotation"),
        (b"\xff\xfe", "is not a text file"),
        (b"resnet18\nos:system\n", "line 2, names the model 'os:system': a name from a file may be a timm name"),
        (b"'local-dir:my folder'\n", "line 1, names the model 'local-dir:my folder'"),
        (b"transformers:../vit\n", "line 1, names the model"),
        (b"resnet18\nresnet18 checkpoint=no.pth\n", r"line 2, names the weights 'no\.pth': no file at .*/no\.pth"),
        (b"resnet18 checkpoint=\n", "line 1, names the weights '': no file at"),
        (b"resnet18 checkpoint=. checkpoint=.\n", "line 1: checkpoint is given twice"),
        (b"resnet18 a=1 a=2\n", "line 1: a is given twice"),
        (b"os:system checkpoint=mine.txt\n", "line 1, names the model 'os:system'"),
        (b"local-dir:x checkpoint=mine.txt\n", "line 1, names the model 'local-dir:x'"),
        (None, "no list of models .*: expected paper, realism, or a text file"),
    ],
)
def test_a_list_that_cannot_be_read_is_one_line(tmp_path, content, expected):
    path = tmp_path / "mine.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=expected) as caught:
        read_list(str(path))
    assert "\n" not in str(caught.value)


def test_the_paper_s_list_names_models_that_exist():
    assert shipped() == ["paper", "realism"]
    entries = read_list("paper")
    assert len({each.name for each in entries}) == len(entries) >= 25
    known = set(timm.list_pretrained())
    for each in entries:
        check(each.name, pretrained=True)
        if ":" not in each.name:
            assert "." in each.name
            assert each.name in known
        else:
            assert each.name.startswith("zero-shot:")
