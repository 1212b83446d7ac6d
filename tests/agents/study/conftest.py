"""A small baseline, made once."""

from pathlib import Path

import pytest

from keepmap.agents.acting.agent import Agent, load_agent
from tests.agents.study.baselines import make_baselines


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `runs/base0`, `runs/base1` and `datasets/`."""
    return make_baselines(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="session")
def baseline(trained: Path) -> Agent:
    """The first of them."""
    return load_agent(trained / "runs" / "base0")
