"""Images that are not D3S's are called so in the first line of every command that prints numbers of them."""

import pytest

from benchmark import report, run
from benchmark.compare import main as compare
from benchmark.score import main as score


@pytest.fixture
def results(toy, tmp_path, capsys):
    """Two results on the drawn sample, and the first line of benchmark.run."""
    for kwargs in ([], ["--model-kwargs", "drop_rate=0.5"]):
        line = ["--model", "test_resnet", "--checkpoint", str(_weights(tmp_path)), "--dataset", str(toy)]
        run.main([*line, *kwargs, "--precision", "fp32", "--no-compile", "--out", str(tmp_path / "results")])
    return sorted((tmp_path / "results").glob("*.json")), capsys.readouterr().out.splitlines()[0]


def _weights(folder):
    import timm
    from safetensors.torch import save_file

    path = folder / "weights.safetensors"
    if not path.exists():
        save_file(timm.create_model("test_resnet").state_dict(), path)
    return path


def test_the_first_line_says_that_a_sample_is_not_d3s(results, tmp_path, capsys):
    (one, two), first = results
    lines = {"run": first}
    score([str(one.with_suffix(".parquet")), "--out", str(tmp_path / "scored")])
    lines["score"] = capsys.readouterr().out.splitlines()[0]
    compare([str(one), str(two)])
    lines["compare"] = capsys.readouterr().out.splitlines()[0]
    report.main([str(one), str(two), "--out", str(tmp_path / "report.html")])
    lines["report"] = capsys.readouterr().out.splitlines()[0]
    for command, line in lines.items():
        assert "; drawn sample, not D3S; labels not human-verified" in line, command
    assert "drawn sample, not D3S" in (tmp_path / "report.html").read_text()
