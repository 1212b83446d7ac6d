"""The hub's client is silent for a time, and speaks again after it, whatever it had been told before."""

import logging
from contextlib import suppress

import pytest

from keepmap.core.outside.hub import without_retries


@pytest.mark.parametrize("level", [logging.NOTSET, logging.DEBUG])
def test_retries_are_not_told_and_the_level_comes_back(level: int, caplog: pytest.LogCaptureFixture) -> None:
    client, own = logging.getLogger("huggingface_hub"), logging.getLogger("huggingface_hub.utils._http")
    before = client.level
    client.setLevel(level)
    try:
        with suppress(KeyError), without_retries():
            own.warning("Retrying in 1s")
            raise KeyError
        assert client.level == level
        own.warning("spoken")
    finally:
        client.setLevel(before)
    assert caplog.messages == ["spoken"]
