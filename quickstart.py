"""Is everything there? Checks the dependencies, a trained model and a dataset, and says what mends what is missing."""

import sys
from importlib.util import find_spec
from pathlib import Path

if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036 - who has only an older one starts here
        sys.stderr.write("error: keepmap needs Python 3.11 or newer, and this is " + sys.version.split()[0] + "\n")
        sys.exit(2)
    if find_spec("keepmap") is None:
        sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))
    from keepmap.cli.guard import guarded
    from keepmap.commands.setup.quickstart import quickstart

    sys.exit(guarded(lambda: quickstart(sys.argv[1:])))
