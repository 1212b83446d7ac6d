"""What many tests share: a small random model in a folder, and a data file that it can read."""

import gc
import json
from pathlib import Path

import pytest
from hypothesis import settings

# Time per example is no property of the code: a busy machine must not fail a test.
settings.register_profile("keepmap", deadline=None)
settings.load_profile("keepmap")


def pytest_collection_finish() -> None:
    """What is imported by now stays: Python's garbage collector need not look through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of 2 layers, 4 heads and 2 KV heads, 256 positions, with a byte-level tokenizer of 257 ids."""
    from tests.small_model import write_model

    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def data_file(tmp_path: Path) -> Path:
    """Four texts of 90 to 150 bytes, which are as many tokens for `model_folder`."""
    path = tmp_path / "data.jsonl"
    texts = [f"{number}: " + "the quick brown fox and the lazy dog; " * 4 for number in range(4)]
    lines = [json.dumps({"text": text[: 90 + 20 * number]}) for number, text in enumerate(texts)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """No annotation is enforced, as for users: what is wrong reaches the code's own checks."""
    import jaxtyping

    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def quick_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers of keepmap's begin in a moment: they are forked from a process that has imported what they need."""
    from tests.forked import SERVER, begin_server

    begin_server()
    monkeypatch.setattr("keepmap.core.processes.get_context", lambda _: SERVER)
