import pytest
import yaml
from PIL import Image

from d3s_dataset.card import render
from d3s_dataset.card.statistics import count
from d3s_dataset.errors import ReleaseError
from d3s_dataset.manifest import read
from d3s_dataset.schema import columns_table


def front_matter(release):
    return yaml.safe_load((release / "README.md").read_text().split("---\n", 2)[1])


def test_the_root_card_shows_the_schemas_columns():
    text = render.shipped_file("dataset_card.md").read_text()
    assert render.replace_block(text, "columns", columns_table()) == text, "write the table anew with replace_block"


def test_a_sample_release_says_that_it_is_not_d3s(sample_release):
    text = (sample_release / "README.md").read_text()
    assert "No model has been ranked on this release yet." in text  # until a board writes its table there
    assert "**Drawn sample, not D3S.**" in text
    assert "The labels are not human-verified" in text
    assert "480 of 480 planned rows were made; 0 failed" in text
    assert "| grass | 40 | 8 |" in text
    assert "| **all** | 400 | 80 |" in text


def test_guides_say_that_no_model_has_redrawn_them(guides_release):
    text = (guides_release / "README.md").read_text()
    assert "**Guides, not D3S.**" in text
    assert "Stable Diffusion" not in text
    assert "diffusion model redraws" not in text
    assert front_matter(guides_release)["pretty_name"] == "paper-guides: guides (no model has redrawn them), not D3S"
    assert "- Recipe `paper`: its guides alone, not redrawn by any model." in text
    assert "licence unknown; may not be passed on" in text


def test_the_card_links_paper_arxiv_and_code_and_shows_the_sheet(sample_release, monkeypatch, tmp_path):
    text = (sample_release / "README.md").read_text()
    assert "(https://arxiv.org/pdf/2211.10370)" in text
    assert "(https://arxiv.org/abs/2211.10370)" in text
    assert "- Code: no public address yet" in text
    assert render.linked(text) == ["contact_sheet.jpg", "croissant.json"]
    with Image.open(sample_release / "contact_sheet.jpg") as sheet:
        assert sheet.size == (150 + 10 * 96, 20 + 8 * 96)  # ten backgrounds, the eight classes of validation
    cited = render.shipped_file("CITATION.cff").read_text() + 'repository-code: "https://example.org/d3s"\n'
    (tmp_path / "CITATION.cff").write_text(cited)
    plain = render.shipped_file
    monkeypatch.setattr(render, "shipped_file", lambda name: tmp_path / name if name == "CITATION.cff" else plain(name))
    assert "- Code: <https://example.org/d3s>" in render.render(
        read(sample_release), count(sample_release, read(sample_release))
    )


def test_front_matter_is_what_the_hub_and_datasets_read(sample_release):
    head = front_matter(sample_release)
    manifest = read(sample_release)
    assert head["license"] == "cc-by-nc-sa-4.0"
    assert head["size_categories"] == ["n<1K"]
    (info,), (config,) = head["dataset_info"], head["configs"]
    assert {each["name"]: each["num_examples"] for each in info["splits"]} == {"train": 400, "validation": 80}
    assert info["download_size"] == sum(shard.bytes for shard in manifest.shards)
    assert config["data_files"][1] == {"split": "validation", "path": "data/validation-*-of-00001.parquet"}


def test_a_missing_block_is_an_error():
    with pytest.raises(ReleaseError, match="one block 'counts'"):
        render.replace_block("no marks here", "counts", "x")
