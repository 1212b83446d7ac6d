"""Transformers' own progress bars and advice, switched off: the commands print their own."""

__all__ = ["quiet_transformers"]


def quiet_transformers() -> None:
    """For this whole process; what transformers finds wrong is still raised."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
