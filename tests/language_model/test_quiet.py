"""What transformers prints is off where asked for, and otherwise as it was."""

import logging

import pytest
from transformers.utils import logging as transformers_logging

from keepmap.language_model.quiet import quiet_transformers, without_bars


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
    with without_bars():
        assert not transformers_logging.is_progress_bar_enabled()
    with pytest.raises(KeyError), without_bars():
        {}["an error"]
    assert transformers_logging.is_progress_bar_enabled() == was_on


def test_everything_is_off_for_the_process():
    quiet_transformers()
    assert not transformers_logging.is_progress_bar_enabled()
    assert transformers_logging.get_verbosity() == logging.ERROR
    assert not logging.getLogger("huggingface_hub").isEnabledFor(logging.ERROR)
