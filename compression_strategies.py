"""History compressors: import them from here, or run this file (the same as `keepmap compressors`) to see them all."""

import sys

from keepmap.agents import compression_strategies as strategies
from keepmap.agents.compression_strategies import (
    AdaptiveCompressor,
    AttentionBasedCompressor,
    BestEpisodesCompressor,
    DistinctCompressor,
    EpisodeSummaryCompressor,
    ExponentialDecayCompressor,
    FifoCompressor,
    FirstAndRecentCompressor,
    MemoryCompressor,
    NearestCompressor,
    RandomCompressor,
    RandomWithoutNewestCompressor,
    RecencyCompressor,
    RecencyRandomCompressor,
    RewardAwareCompressor,
    ThresholdCompressor,
    UniformCompressor,
)

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


def __getattr__(name: str) -> object:
    return getattr(strategies, name)


if __name__ == "__main__":
    from keepmap.cli import main

    sys.exit(main(["compressors", *sys.argv[1:]]))
