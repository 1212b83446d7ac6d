"""Train a KVzap surrogate for a causal language model: targets, two kinds of fit, a run that can be resumed."""

from keepmap.kv.surrogate_training.result import TrainedSurrogate, read_surrogate
from keepmap.kv.surrogate_training.train import open_training, train_surrogate

__all__ = ["TrainedSurrogate", "open_training", "read_surrogate", "train_surrogate"]
