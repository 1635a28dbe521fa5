"""The notebooks: without outputs as they are committed, and run from top to bottom."""

import json
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "benchmarks" / "notebooks").glob("*.ipynb"))
BY_NAME = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(notebook):
    return [
        cell
        for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "code"
    ]


def test_there_are_notebooks():
    assert len(NOTEBOOKS) >= 2


@BY_NAME
def test_a_notebook_is_committed_without_outputs(notebook):
    cells = code_cells(notebook)
    assert cells
    assert [cell for cell in cells if cell["outputs"] or cell["execution_count"] is not None] == []


@pytest.mark.slow
@BY_NAME
def test_a_notebook_runs_and_its_last_cell_shows_something(notebook, tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient", reason="the extra docs is not installed")
    import nbformat

    pytest.importorskip("ipykernel", reason="the extra docs is not installed")
    monkeypatch.setenv("VOSBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VOSBENCH_DATA", raising=False)
    content = nbformat.read(notebook, 4)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(content, timeout=600, kernel_name="python3", resources=resources).execute()
    assert [cell for cell in content.cells if cell.cell_type == "code"][-1].outputs
