"""What transformers and the hub print that nobody asked for."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet_transformers", "quietly"]


def quiet_transformers() -> None:
    """Switch off the progress bars and advice of transformers and the hub for this process; errors are still raised."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    # The hub logs each retry; the failure after the last one is raised.
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)


@contextmanager
def quietly() -> Iterator[None]:
    """Without the bar of transformers and without its advice while it loads; both come back where they were on.

    Its advice has names of tensors and of a config's values as they are, and a terminal would obey them.
    """
    from transformers.utils import logging as transformers_logging

    was_on, verbosity = transformers_logging.is_progress_bar_enabled(), transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity(max(verbosity, logging.ERROR))
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if was_on:
            transformers_logging.enable_progress_bar()
