"""The versions that stand beside numbers."""

import platform
import subprocess
import sys

import numpy as np
import pytest

import keepmap
from keepmap.core.versions import __version__, versions


def test_keepmap_and_python_come_first_then_the_packages_as_named() -> None:
    assert keepmap.__version__ == __version__
    assert list(versions().items()) == [("keepmap", __version__), ("python", platform.python_version())]
    assert list(versions("yaml", "numpy"))[2:] == ["yaml", "numpy"] and versions("numpy")["numpy"] == np.__version__
    assert all(type(version) is str for version in versions("torch").values())


def test_a_package_that_is_not_there() -> None:
    with pytest.raises(ModuleNotFoundError):
        versions("no_such_package_at_all")


def test_asking_loads_nothing_but_the_packages() -> None:
    code = "import sys; from keepmap.core.versions import versions; versions(); sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
