"""The compressors as `compression_strategies` offers them, and any that joins: adding one is adding one file."""

from keepmap.agents.compressor import Compressor, compressors
from keepmap.agents.compressors.adaptive import AdaptiveCompressor
from keepmap.agents.compressors.attention_based import AttentionBasedCompressor
from keepmap.agents.compressors.best_episodes import BestEpisodesCompressor
from keepmap.agents.compressors.distinct import DistinctCompressor
from keepmap.agents.compressors.episode_summary import EpisodeSummaryCompressor
from keepmap.agents.compressors.exponential_decay import ExponentialDecayCompressor
from keepmap.agents.compressors.fifo import FifoCompressor
from keepmap.agents.compressors.first_and_recent import FirstAndRecentCompressor
from keepmap.agents.compressors.memory import MemoryCompressor
from keepmap.agents.compressors.nearest import NearestCompressor
from keepmap.agents.compressors.random import RandomCompressor
from keepmap.agents.compressors.random_without_newest import RandomWithoutNewestCompressor
from keepmap.agents.compressors.recency import RecencyCompressor
from keepmap.agents.compressors.recency_random import RecencyRandomCompressor
from keepmap.agents.compressors.reward_aware import RewardAwareCompressor
from keepmap.agents.compressors.threshold import ThresholdCompressor
from keepmap.agents.compressors.uniform import UniformCompressor

__all__ = [
    "AdaptiveCompressor",
    "AttentionBasedCompressor",
    "BestEpisodesCompressor",
    "DistinctCompressor",
    "EpisodeSummaryCompressor",
    "ExponentialDecayCompressor",
    "FifoCompressor",
    "FirstAndRecentCompressor",
    "MemoryCompressor",
    "NearestCompressor",
    "RandomCompressor",
    "RandomWithoutNewestCompressor",
    "RecencyCompressor",
    "RecencyRandomCompressor",
    "RewardAwareCompressor",
    "ThresholdCompressor",
    "UniformCompressor",
]


def __getattr__(name: str) -> type[Compressor]:
    by_class = {compressor.__name__: compressor for compressor in compressors().values()}
    if name not in by_class:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return by_class[name]
