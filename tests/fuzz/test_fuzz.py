"""Damaged files, changed values and odd options end in a right result or in one line; within 10 seconds and 2 GB.

`make fuzz` does it for longer: KEEPMAP_FUZZ says for how many seconds of processor, and
KEEPMAP_FUZZ_SEED from which seed on. A finding is printed with the command that repeats it.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
COVERS = ("keepmap.core.storage.*",)
SECONDS = float(os.environ.get("KEEPMAP_FUZZ", "40"))
SEED = os.environ.get("KEEPMAP_FUZZ_SEED", "0")
PARTS = 2
LAST = [] if "KEEPMAP_FUZZ" in os.environ else ["--last", "5"]
"""By default the same cases on every machine, however fast it is; what is new is found by `make fuzz`."""

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="what a case takes is read in /proc")


@pytest.mark.parametrize("part", range(PARTS))
def test_no_file_and_no_option_ends_in_anything_but_a_result_or_a_line(part: int, tmp_path: Path) -> None:
    words = ["--part", f"{part}/{PARTS}", "--seconds", str(SECONDS / PARTS), "--seed", SEED, *LAST]
    variables = os.environ | {"PYTHONPATH": str(REPOSITORY / "src"), "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *words], cwd=REPOSITORY, env=variables, capture_output=True, text=True
    )
    print(done.stdout)  # of a long run: how many cases there were
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-2000:]}"


WRONG = """
import os, sys, time
from pathlib import Path
from keepmap.errors import InputError
from tests.fuzz.children import in_children, try_case

CASES = {
    "waits": lambda: time.sleep(100),
    "computes": lambda: [None for _ in iter(int, 1)],
    "dies": lambda: os.kill(os.getpid(), 11),
    "raises": lambda: {}["a"],
    "takes": lambda: bytearray(3 * 2**30),
    "writes": lambda: Path(sys.argv[1], "..", "outside").write_text("a"),
    "removes": lambda: os.remove(Path(sys.argv[1]).parent / "there"),
    "two lines": lambda: refuse("a\\nb"),
    "a line": lambda: refuse("a"),
    "reads": lambda: Path(sys.argv[1], "inside").write_text("a"),
}

def refuse(message):
    raise InputError(message)

def work(seed, tell):
    try_case(seed, [*CASES][seed], CASES[[*CASES][seed]], tell)

tally = in_children(work, 0, len(CASES) - 1, 100.0, Path(sys.argv[1]))
for seed, fault in tally.faults.items():
    print(f"{fault['what']}: {fault['kind']}")
print(tally.read, tally.refused)
"""


def test_what_goes_wrong_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    (tmp_path / "there").touch()
    variables = os.environ | {"PYTHONPATH": f"{REPOSITORY / 'src'}{os.pathsep}{REPOSITORY}", "OMP_NUM_THREADS": "1"}
    short = WRONG.replace("\ntally =", "\nimport tests.fuzz.children as c; c.SECONDS = 1.0\ntally =")
    done = subprocess.run(
        [sys.executable, "-c", short, tmp_path / "place"], env=variables, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == [
        "waits: it waited for more than 1 seconds",
        "computes: it took more than 1 seconds",
        "dies: the process ended with -11",
        "raises: KeyError at ?",
        "takes: MemoryError at ?",
        "writes: written outside",
        "removes: written outside",
        "two lines: a message that is no line",
        "1 1",
    ], done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["place", "there"]
