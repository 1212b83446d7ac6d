"""What transformers and the hub print that nobody asked for."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet_transformers", "without_bars"]


def quiet_transformers() -> None:
    """Switch off the progress bars and advice of transformers and the hub for this process; errors are still raised."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    # The hub logs each retry; the failure after the last one is raised.
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)


@contextmanager
def without_bars() -> Iterator[None]:
    """Without the bar that transformers draws while it loads weights; it comes back where it was on."""
    from transformers.utils import logging as transformers_logging

    was_on = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_on:
            transformers_logging.enable_progress_bar()
