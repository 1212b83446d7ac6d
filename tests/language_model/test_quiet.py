"""What transformers prints is off where asked for, and otherwise as it was."""

import io
import logging
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.utils import logging as transformers_logging

from keepmap.language_model import load_language_model
from keepmap.language_model.quiet import quiet_transformers, quietly


@pytest.fixture(autouse=True)
def as_before():
    hub = logging.getLogger("huggingface_hub")
    before = transformers_logging.is_progress_bar_enabled(), transformers_logging.get_verbosity(), hub.level
    transformers_logging.enable_progress_bar()
    transformers_logging.set_verbosity_warning()
    yield
    if not before[0]:
        transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity(before[1])
    hub.setLevel(before[2])


@pytest.mark.parametrize("was_on", [True, False])
def test_the_bar_comes_back_where_it_was_on(was_on):
    if not was_on:
        transformers_logging.disable_progress_bar()
    during = []

    def fail():
        during.extend([transformers_logging.is_progress_bar_enabled(), transformers_logging.get_verbosity()])
        raise KeyError

    with pytest.raises(KeyError), quietly():
        fail()
    assert during == [False, logging.ERROR]
    assert transformers_logging.get_verbosity() == logging.WARNING
    assert transformers_logging.is_progress_bar_enabled() == was_on


def test_everything_is_off_for_the_process():
    quiet_transformers()
    assert not transformers_logging.is_progress_bar_enabled()
    assert transformers_logging.get_verbosity() == logging.ERROR
    assert not logging.getLogger("huggingface_hub").isEnabledFor(logging.ERROR)


def test_names_of_tensors_do_not_reach_the_terminal(tmp_path, model_folder):
    folder = Path(shutil.copytree(model_folder, tmp_path / "model"))
    tensors = load_file(folder / "model.safetensors") | {"\x1b[2J": torch.zeros(2)}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)  # as that of transformers, which takes stderr as it was at first
    transformers_logging.add_handler(handler)
    try:
        load_language_model(folder, device="cpu")
    finally:
        transformers_logging.remove_handler(handler)
    assert "\x1b" not in stream.getvalue()
