"""Install the packages that keepmap needs and that are missing here, and nothing else."""

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
    from keepmap.commands.setup.install import install_missing

    sys.exit(guarded(lambda: install_missing(sys.argv[1:])))
