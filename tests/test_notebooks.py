"""The notebooks run, from the first cell to the last, and show what they have."""

from pathlib import Path

from tests.forked import python

RUN = Path(__file__).resolve().parent.parent / "docs" / "notebooks" / "run.py"


def test_the_notebooks_run(tmp_path: Path) -> None:
    done = python(str(RUN), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "4 notebooks run\n"), done.stderr
