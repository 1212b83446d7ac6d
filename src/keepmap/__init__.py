"""keepmap shows which parts of its context a transformer uses, and measures exactly what dropping the rest costs.

A language model and its KV cache:

    eviction = keepmap.evict("tiny", "The capital of France is", "streaming_llm", density=0.2)
    eviction.keep_map, eviction.logits, eviction.damage()
    keepmap.compare("tiny", texts, ["h2o", "expected_attention"], density=0.2)

An agent that learns in its context, and its history:

    agent = keepmap.load_agent("tiny")
    agent.play(gymnasium.make_vec("keepmap/DarkRoom-9x9-v0", num_envs=8), episodes=40, compressor="recency")
    keepmap.evaluate(agent, episodes=40)

Both: `profile_attention` looks, `suggest` says what could be dropped, `verify` drops it, `draw` draws. A model
is a loaded one, a folder, a hub id, a GGUF file, "tiny" or "smollm2"; a text is a string, token ids, or what a
tokenizer gives.
Every name is loaded when it is first used: `import keepmap` alone loads neither torch nor transformers.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from keepmap.core.versions import __version__

if TYPE_CHECKING:
    from keepmap import draw
    from keepmap.agents.acting.agent import Agent, load_agent
    from keepmap.agents.acting.context import Context, context_at
    from keepmap.agents.collection.collect import collect
    from keepmap.agents.collection.dataset import Histories, open_histories
    from keepmap.agents.collection.own import write_histories
    from keepmap.agents.collection.source import Source, sources
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
    from keepmap.agents.environments import environments
    from keepmap.agents.evaluation.evaluate import evaluate
    from keepmap.agents.evaluation.returns import Evaluation, read_evaluation
    from keepmap.agents.evaluation.transfer import Transfer, transfer
    from keepmap.agents.families import families
    from keepmap.agents.history import History
    from keepmap.agents.study.lives import FamilyStudy, read_family_study
    from keepmap.agents.study.results import Study, read_study
    from keepmap.agents.training.loop import train
    from keepmap.attention.profile import AttentionProfile
    from keepmap.attention.profiling import profile_attention
    from keepmap.commands.compare import compare_compression_methods
    from keepmap.core.keep_map import KeepMap
    from keepmap.core.runs.reading import RunRecords, read_run
    from keepmap.core.statistics.aggregates import (
        interquartile_mean,
        performance_profile,
        probability_of_improvement,
    )
    from keepmap.core.statistics.footprint import critical_footprint
    from keepmap.core.statistics.verdicts import Verdicts, paired_verdicts
    from keepmap.drawing.parts.figure import figure
    from keepmap.errors import ImpossibleResultError, InputError, KeepmapError, ModelError, OutputError, WorkerError
    from keepmap.insight.document import read_verification
    from keepmap.insight.suggestion import Suggestion
    from keepmap.insight.verdicts import suggest
    from keepmap.insight.verification import Verification
    from keepmap.insight.verify import verify
    from keepmap.kv.cache.cache import EvictingCache
    from keepmap.kv.cache.compress import compress
    from keepmap.kv.cache.evicting import evicting
    from keepmap.kv.comparison.compare import compare
    from keepmap.kv.comparison.reading import read_comparison
    from keepmap.kv.comparison.results import Comparison
    from keepmap.kv.eviction.evict import evict
    from keepmap.kv.eviction.eviction import Damage, Eviction
    from keepmap.kv.generation.files import read_generation
    from keepmap.kv.generation.generate import generate
    from keepmap.kv.generation.generation import Generation
    from keepmap.kv.method import HeldInput, LayerInput, Received, Reviewed, Scored, methods
    from keepmap.kv.surrogate_training.result import TrainedSurrogate, read_surrogate
    from keepmap.kv.surrogate_training.train import train_surrogate
    from keepmap.kv.tasks.results.files import read_tasks
    from keepmap.kv.tasks.results.task_run import TaskRun
    from keepmap.kv.tasks.run_tasks import run_tasks, sweep
    from keepmap.kv.tasks.task import Question, Task, TaskSample, tasks
    from keepmap.language_model import LanguageModel, load_language_model

__all__ = [
    "AdaptiveCompressor",
    "Agent",
    "AttentionBasedCompressor",
    "AttentionProfile",
    "BestEpisodesCompressor",
    "Comparison",
    "Compressor",
    "Context",
    "Damage",
    "DistinctCompressor",
    "EpisodeSummaryCompressor",
    "Evaluation",
    "EvictingCache",
    "Eviction",
    "ExponentialDecayCompressor",
    "FamilyStudy",
    "FifoCompressor",
    "FirstAndRecentCompressor",
    "Generation",
    "HeldInput",
    "Histories",
    "History",
    "ImpossibleResultError",
    "InputError",
    "KeepMap",
    "KeepmapError",
    "LanguageModel",
    "LayerInput",
    "MemoryCompressor",
    "ModelError",
    "NearestCompressor",
    "OutputError",
    "Question",
    "RandomCompressor",
    "RandomWithoutNewestCompressor",
    "Received",
    "RecencyCompressor",
    "RecencyRandomCompressor",
    "Reviewed",
    "RewardAwareCompressor",
    "RunRecords",
    "Scored",
    "Source",
    "Study",
    "Suggestion",
    "Task",
    "TaskRun",
    "TaskSample",
    "ThresholdCompressor",
    "TrainedSurrogate",
    "Transfer",
    "UniformCompressor",
    "Verdicts",
    "Verification",
    "WorkerError",
    "__version__",
    "collect",
    "compare",
    "compare_compression_methods",
    "compress",
    "compressors",
    "context_at",
    "critical_footprint",
    "draw",
    "environments",
    "evaluate",
    "evict",
    "evicting",
    "families",
    "figure",
    "generate",
    "interquartile_mean",
    "load_agent",
    "load_language_model",
    "methods",
    "open_histories",
    "paired_verdicts",
    "performance_profile",
    "probability_of_improvement",
    "profile_attention",
    "read_comparison",
    "read_evaluation",
    "read_family_study",
    "read_generation",
    "read_run",
    "read_study",
    "read_surrogate",
    "read_tasks",
    "read_verification",
    "run_tasks",
    "sources",
    "suggest",
    "sweep",
    "tasks",
    "train",
    "train_surrogate",
    "transfer",
    "verify",
    "write_histories",
]

_HOMES = {
    "keepmap.agents.acting.agent": "Agent load_agent",
    "keepmap.agents.acting.context": "Context context_at",
    "keepmap.agents.collection.collect": "collect",
    "keepmap.agents.collection.dataset": "Histories open_histories",
    "keepmap.agents.collection.source": "Source sources",
    "keepmap.agents.collection.own": "write_histories",
    "keepmap.agents.compressor": "Compressor compressors",
    "keepmap.agents.compressors.adaptive": "AdaptiveCompressor",
    "keepmap.agents.compressors.attention_based": "AttentionBasedCompressor",
    "keepmap.agents.compressors.exponential_decay": "ExponentialDecayCompressor",
    "keepmap.agents.compressors.fifo": "FifoCompressor",
    "keepmap.agents.compressors.first_and_recent": "FirstAndRecentCompressor",
    "keepmap.agents.compressors.memory": "MemoryCompressor",
    "keepmap.agents.compressors.nearest": "NearestCompressor",
    "keepmap.agents.compressors.random": "RandomCompressor",
    "keepmap.agents.compressors.recency_random": "RecencyRandomCompressor",
    "keepmap.agents.compressors.episode_summary": "EpisodeSummaryCompressor",
    "keepmap.agents.compressors.distinct": "DistinctCompressor",
    "keepmap.agents.compressors.best_episodes": "BestEpisodesCompressor",
    "keepmap.agents.compressors.random_without_newest": "RandomWithoutNewestCompressor",
    "keepmap.agents.compressors.recency": "RecencyCompressor",
    "keepmap.agents.compressors.reward_aware": "RewardAwareCompressor",
    "keepmap.agents.compressors.threshold": "ThresholdCompressor",
    "keepmap.agents.compressors.uniform": "UniformCompressor",
    "keepmap.agents.environments": "environments",
    "keepmap.agents.evaluation.evaluate": "evaluate",
    "keepmap.agents.evaluation.transfer": "Transfer transfer",
    "keepmap.agents.evaluation.returns": "Evaluation read_evaluation",
    "keepmap.agents.families": "families",
    "keepmap.agents.history": "History",
    "keepmap.agents.study.lives": "FamilyStudy read_family_study",
    "keepmap.agents.study.results": "Study read_study",
    "keepmap.agents.training.loop": "train",
    "keepmap.attention.profile": "AttentionProfile",
    "keepmap.attention.profiling": "profile_attention",
    "keepmap.commands.compare": "compare_compression_methods",
    "keepmap.core.keep_map": "KeepMap",
    "keepmap.core.runs.reading": "RunRecords read_run",
    "keepmap.core.statistics.aggregates": "interquartile_mean performance_profile probability_of_improvement",
    "keepmap.core.statistics.footprint": "critical_footprint",
    "keepmap.core.statistics.verdicts": "Verdicts paired_verdicts",
    "keepmap.drawing.parts.figure": "figure",
    "keepmap.errors": "ImpossibleResultError InputError KeepmapError ModelError OutputError WorkerError",
    "keepmap.insight.document": "read_verification",
    "keepmap.insight.suggestion": "Suggestion",
    "keepmap.insight.verdicts": "suggest",
    "keepmap.insight.verification": "Verification",
    "keepmap.insight.verify": "verify",
    "keepmap.kv.cache.cache": "EvictingCache",
    "keepmap.kv.cache.compress": "compress",
    "keepmap.kv.cache.evicting": "evicting",
    "keepmap.kv.comparison.compare": "compare",
    "keepmap.kv.comparison.reading": "read_comparison",
    "keepmap.kv.comparison.results": "Comparison",
    "keepmap.kv.eviction.evict": "evict",
    "keepmap.kv.eviction.eviction": "Damage Eviction",
    "keepmap.kv.generation.files": "read_generation",
    "keepmap.kv.generation.generate": "generate",
    "keepmap.kv.generation.generation": "Generation",
    "keepmap.kv.method": "HeldInput LayerInput Received Reviewed Scored methods",
    "keepmap.kv.surrogate_training.result": "TrainedSurrogate read_surrogate",
    "keepmap.kv.surrogate_training.train": "train_surrogate",
    "keepmap.kv.tasks.results.files": "read_tasks",
    "keepmap.kv.tasks.results.task_run": "TaskRun",
    "keepmap.kv.tasks.run_tasks": "run_tasks sweep",
    "keepmap.kv.tasks.task": "Question Task TaskSample tasks",
    "keepmap.language_model": "LanguageModel load_language_model",
}
"""Module -> the names that it gives to the front door."""

_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    if name == "draw":
        return import_module("keepmap.draw")
    if name not in _HOME:
        raise AttributeError(f"module 'keepmap' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
