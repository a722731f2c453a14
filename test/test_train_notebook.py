"""examples/pendulum.ipynb: its code trains, plots and films, cell after cell, without Jupyter."""

import json
import os
import subprocess
import sys
from pathlib import Path

NOTEBOOK = Path(__file__).resolve().parent.parent / "examples" / "pendulum.ipynb"


def test_every_cell_runs_and_leaves_what_it_says(tmp_path):
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    program = tmp_path / "notebook.py"
    shown = "\nprint(training.folder, film, len(figure.axes), len(training.episodes), sep='\\n')\n"
    program.write_text("\n\n".join(code) + shown)
    environment = os.environ | {"STEPS": "600", "MPLBACKEND": "agg", "PYTHONPATH": str(NOTEBOOK.parent.parent)}
    done = subprocess.run(
        [sys.executable, str(program)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    *_, said, folder, film, axes, episodes = done.stdout.splitlines()
    assert said.startswith("mean return of three episodes: -")
    assert (tmp_path / folder).is_dir() and (tmp_path / film).stat().st_size > 1000 and int(axes) > 0
    assert int(episodes) >= 3 + 2  # of 200 steps, and the evaluations


def test_the_notebook_holds_no_output():
    notebook = json.loads(NOTEBOOK.read_text())
    assert notebook["nbformat"] == 4
    assert all(
        not cell["outputs"] and cell["execution_count"] is None for cell in notebook["cells"] if cell["cell_type"] == "code"
    )
