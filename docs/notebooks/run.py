"""Runs the notebooks, all in one kernel that forgets between them, and keeps what they printed and drew.

python docs/notebooks/run.py            say which cell fails, or shows other things than the notebook has
python docs/notebooks/run.py --write    and write what the cells printed and drew into the notebooks
"""

import argparse
import base64
import io
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from PIL import Image

FOLDER = Path(__file__).resolve().parent
FORGET = "%reset -f"


def executed(paths: Sequence[Path]) -> dict[Path, nbformat.NotebookNode]:
    """Each notebook with what its cells printed and drew, run from the first to the last in a folder of their own.

    Raises:
        CellExecutionError: a cell failed.
    """
    notebooks = {path: nbformat.read(path, as_version=4) for path in paths}
    joined = nbformat.v4.new_notebook()
    for notebook in notebooks.values():
        # The same objects: what is run in the joined one is seen in its own.
        joined.cells += [*notebook.cells, nbformat.v4.new_code_cell(FORGET)]
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(joined, timeout=240, coalesce_streams=True, resources={"metadata": {"path": folder}})
        client.execute(env={**os.environ, "IPYTHONDIR": folder})
    for notebook in notebooks.values():
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        for number, cell in enumerate(code, start=1):
            cell.execution_count = number
            cell.metadata = {}
            # Warnings name paths of this machine.
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                if picture := output.get("data", {}).get("image/png"):
                    output.data["image/png"] = smaller(picture)
                if "execution_count" in output:
                    output.execution_count = number
    return notebooks


def smaller(picture: str) -> str:
    """A PNG in Base64 with 128 colours, which is a quarter of it."""
    buffer = io.BytesIO()
    image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")
    image.quantize(128).save(buffer, format="PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the outputs into the notebooks")
    options = parser.parse_args(arguments)
    paths = sorted(FOLDER.glob("*.ipynb"))
    try:
        notebooks = executed(paths)
    except CellExecutionError as error:
        print(error, file=sys.stderr)
        return 1
    if options.write:
        for path, notebook in notebooks.items():
            nbformat.write(notebook, path)
    stale = [
        path for path, notebook in notebooks.items() if kinds(nbformat.read(path, as_version=4)) != kinds(notebook)
    ]
    for path in stale:
        print(
            f"{path.name} shows other things than it has: run `python docs/notebooks/run.py --write`", file=sys.stderr
        )
    print(f"{len(paths)} notebooks run")
    return 1 if stale else 0


def kinds(notebook: nbformat.NotebookNode) -> list[list[list[str]]]:
    """What each cell shows: text and pictures, whatever they say."""
    return [[sorted(output.get("data", ["text"])) for output in cell.get("outputs", ())] for cell in notebook.cells]


if __name__ == "__main__":
    sys.exit(main())
