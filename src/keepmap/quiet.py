"""The progress bars and advice of transformers and the hub, switched off: the commands print their own."""

import logging

__all__ = ["quiet_transformers"]


def quiet_transformers() -> None:
    """For this whole process; what they find wrong is still raised."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    # Its retries are told line by line, and what comes of them is raised.
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)
