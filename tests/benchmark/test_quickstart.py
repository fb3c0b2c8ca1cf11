"""The notebook runs from its first cell to its last, as a reader runs it, and what is committed is what it says."""

import copy

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import ROOT

NOTEBOOK = ROOT / "benchmark" / "quickstart.ipynb"
SECONDS = 120 * 3  # that a cell may take on a busy machine


def shown(notebook: nbformat.NotebookNode) -> list[tuple[str, str]]:
    """What cells say in words: results and comparisons; figures and bars are left out."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return [(each.output_type, each.data["text/plain"]) for each in outputs if each.output_type == "execute_result"]


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # jupyter_client's own, about event loops and file systems
def test_the_quickstart_notebook_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    committed = nbformat.read(NOTEBOOK, 4)
    nbformat.validate(committed)
    assert 13 <= len(committed.cells) <= 17
    assert NOTEBOOK.stat().st_size < 1_000_000
    run = copy.deepcopy(committed)
    for cell in run.cells:
        cell.pop("outputs", None)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    NotebookClient(run, timeout=SECONDS, resources={"metadata": {"path": str(tmp_path)}}).execute()
    said = shown(run)
    assert len(said) >= 4
    # Kernels of other machines may turn the last digit of a figure; the words and the images are the same.
    assert [kind for kind, _ in said] == [kind for kind, _ in shown(committed)]
    assert any("packaged:tf_efficientnet_lite0 on sample" in text and "not D3S" in text for _, text in said)
    figures = [
        output for cell in run.cells for output in cell.get("outputs", ()) if "image/png" in output.get("data", ())
    ]
    assert len(figures) >= 4
