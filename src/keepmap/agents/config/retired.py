"""Keys of the seed repository that can mean nothing here: why, and what to write in their place."""

from keepmap.errors import InputError

__all__ = ["RETIRED", "check_not_retired"]

RETIRED = {
    "dynamics": "the model predicts actions alone; remove the key",
    "dynamics_strength": "the model predicts actions alone; remove the key",
    "num_workers": "histories are read by the training process itself; remove the key",
    "n_process": "the learners of a goal share a policy, in one process; remove the key",
    "tf_dim_feedforward": "write tf_n_inner",
    "device": "the device is an option of the command line; remove the key",
    "task": "write env",
    "enable_compression": "write compressor: {name: recency, keep_recent: 10}, or leave it out",
    "compression_ratio": "write how many transitions are kept: compressor: {name: uniform, target_length: 32}",
}
"""Key -> what to do about it."""


def check_not_retired(name: str, origin: str) -> None:
    """Whether a key still has a meaning.

    Raises:
        InputError: it has none; says what to do.
    """
    if name in RETIRED:
        raise InputError(f'{origin}: the key "{name}" has no meaning here: {RETIRED[name]}')
