"""A session of a small model on a small file."""

from pathlib import Path

import pytest

from keepmap.kv.comparison.session import Session, open_session
from tests.kv.comparison.jobs import job


@pytest.fixture
def session(model_folder: Path, data_file: Path, tmp_path: Path) -> Session:
    """StreamingLLM, Random(threshold=1.0) and H2O on four texts."""
    return open_session(job(model_folder, data_file, tmp_path / "out", "streaming_llm random_validation h2o"), "cpu")
