"""The configuration: every key with its type, its default, and what it means."""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepmap.agents.collection.naming import default_histories, split_suffix
from keepmap.agents.collection.source import Source, source_class, sources
from keepmap.agents.config.check import check_tasks, check_together
from keepmap.agents.config.keys import Kind, check_not_retired, key, read_value, unknown_key
from keepmap.agents.environments.goals import GUIDE, OLD_NAMES, Goal, Split, guide_split, split_named
from keepmap.agents.environments.world import World
from keepmap.agents.families import world_named
from keepmap.core.joining.options import typed_options

if TYPE_CHECKING:
    from keepmap.agents.compressor import Compressor
    from keepmap.agents.transformer import DecisionShape

__all__ = ["KEYS", "Config", "own_keys"]

HISTORIES = "datasets"
OF_FAMILIES = ("env_options", "n_tasks")
USUAL_SIZE = 9
"""Cells along a side of every dark room, where nobody says how many."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is learned, from what, by what: the guide's keys, all of them checked, each of them acting.

    Raises:
        InputError: a value of the wrong type or out of range, values that do not go together, or a key that cannot act.
    """

    # The room and its goals.
    env: str = key("darkroom", str, "the room, or the family of tasks")
    grid_size: int | None = key(
        None, int, "cells along a side; null: 9, and a family's own", least=2, most=255, optional=True
    )
    horizon: int = key(20, int, "steps of an episode", least=1)
    env_options: dict[str, Any] | None = key(
        None, dict, "of a family, others than these two: {arms: 10}", optional=True
    )
    n_tasks: int | None = key(
        None,
        int,
        "tasks of a family that train or are held out; null: 1,000, or all where there are fewer",
        least=2,
        optional=True,
    )
    dim_states: int | None = key(
        None, int, "a fact of the world, checked where it is given: numbers of a state", least=1, optional=True
    )
    dim_actions: int = key(1, int, "a fact of the world, to be checked: numbers of an action", least=1)
    num_actions: int | None = key(
        None, int, "a fact of the world, checked where it is given: how many actions there are", least=1, optional=True
    )
    max_reward: float | None = key(
        None, float, "a fact of the room, to be checked where it is given: no return is above it", optional=True
    )
    split: str = key(
        GUIDE, str, 'goals held out: "guide" (in older files: "seed"), "all" (none), or "k/n" for fold k, from 0, of n'
    )
    env_split_seed: int = key(0, int, "what orders the goals before some are held out", least=0)
    train_env_ratio: float = key(0.9, float, 'share of the goals that trains, of the split "guide"', above=0, most=1)

    # The algorithm whose learning is distilled.
    alg: str = key("optimistic", str, "the source of the histories")
    alg_seed: int = key(0, int, "what the learners draw from", least=0)
    n_stream: int = key(100, int, "learners of each goal", least=1)
    n_episodes: int | None = key(None, int, "of each learner; null: the source's usual number", least=1, optional=True)
    total_source_timesteps: int | None = key(
        None, int, "steps of all learners of a goal, in place of n_episodes", least=1, optional=True
    )
    policy: str | None = key(None, str, "of PPO", among=("MlpPolicy",), optional=True)
    n_steps: int | None = key(None, int, "of PPO: steps of a learner between updates", least=2, optional=True)
    batch_size: int | None = key(None, int, "of PPO: transitions in a gradient step", least=2, optional=True)
    n_epochs: int | None = key(None, int, "of PPO: passes over the data in an update", least=1, optional=True)
    source_lr: float | None = key(None, float, "of PPO and Q-learning: the learning rate", above=0, optional=True)

    # The transformer.
    model: str = key("AD", str, "the kind of agent", among=("AD",))
    tf_n_embd: int = key(64, int, "width of the tokens", least=1)
    tf_n_layer: int = key(4, int, "layers", least=1)
    tf_n_head: int = key(4, int, "attention heads", least=1)
    tf_n_inner: int = key(256, int, "width inside the feed-forward part", least=1)
    tf_dones: bool = key(False, bool, "transitions say that they ended an episode: for rooms whose state it resets")
    tf_dropout: float = key(0.0, float, "of the residual branches, in training", least=0, below=1)
    tf_attn_dropout: float = key(0.0, float, "of the attention weights, in training", least=0, below=1)
    n_transit: int = key(120, int, "most transitions in the context", least=1)
    n_slide: int | None = key(
        None, int, "how many of the oldest go at once when the context is full; null: an eighth", least=1, optional=True
    )
    flash_attn: bool = key(True, bool, "train with the fused kernel; false: an explicit softmax")
    mixed_precision: str = key("bf16", str, "arithmetic in training", among=("bf16", "fp32"))

    # Its training.
    train_timesteps: int = key(1500, int, "updates", least=1)
    train_batch_size: int = key(64, int, "histories in an update", least=1)
    lr: float = key(4e-3, float, "learning rate, at its highest", above=0)
    num_warmup_steps: int = key(150, int, "updates until then", least=0)
    beta1: float = key(0.9, float, "of AdamW", least=0, below=1)
    beta2: float = key(0.99, float, "of AdamW", least=0, below=1)
    weight_decay: float = key(0.01, float, "of AdamW", least=0)
    label_smoothing: float = key(0.0, float, "probability given to all actions alike in the target", least=0, below=1)
    train_seed: int = key(0, int, "what the weights and batches are drawn from", least=0)
    init: str | None = key(None, str, 'checkpoint whose weights training starts from, or "tiny"', optional=True)

    # Which data it sees.
    traj_dir: str | None = key(
        None, str, "the folder of the histories; null: datasets/, where missing ones are collected first", optional=True
    )
    histories: str | None = key(
        None, str, "a file of your own histories (keepmap.write_histories); null: those of env and alg", optional=True
    )
    train_n_stream: int | None = key(
        None, int, "learners of each goal that train, the rest validates; null: all but one", least=1, optional=True
    )
    train_source_timesteps: int | None = key(
        None, int, "steps used of each history, from its beginning; null: all", least=1, optional=True
    )
    last_episodes: int | None = key(
        None, int, "only the last so many episodes of each history: expert distillation", least=1, optional=True
    )
    from_start: float = key(0.5, float, "share of windows that begin at a learner's first step", least=0, most=1)
    compressor: dict[str, Any] | None = key(None, dict, "what shortens the histories, in training too", optional=True)
    compress_labels: int = key(8, int, "actions supervised in a window, with a compressor", least=1)

    # What is written and when.
    log_dir: str | None = key(None, str, "the folder of the run; null: named after its keys, in runs/", optional=True)
    summary_interval: int = key(10, int, "updates between lines of the log", least=1)
    eval_interval: int = key(250, int, "updates between losses on the other learners; 0: never", least=0)
    gen_interval: int = key(0, int, "updates between returns on training goals; 0: never", least=0)
    ckpt_interval: int = key(100, int, "updates between checkpoints", least=1)
    test_batch_size: int = key(256, int, "histories in an evaluation", least=1)

    # What the source declares and no key above is: key -> value, None for the source's own default.
    source_keys: dict[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name, kind in KEYS.items():
            object.__setattr__(self, name, read_value(name, kind, getattr(self, name)))
        # One spelling each, so that names of files and folders follow from the values.
        object.__setattr__(self, "alg", self.alg.lower())
        world = self.room()
        check_tasks(self, world)
        facts = {"grid_size": world.options.get("size"), "dim_states": len(world.observation_sizes)}
        facts |= {"num_actions": world.n_actions, "n_tasks": None if world.life is None else world.usual_tasks}
        for name, fact in facts.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, fact)
        others = {name: value for name, value in world.options.items() if name not in ("size", "horizon")}
        object.__setattr__(self, "env", world.name)
        object.__setattr__(self, "env_options", others or None)
        object.__setattr__(self, "split", self.goal_split().name)
        if self.max_reward is None:
            object.__setattr__(self, "max_reward", world.best_return)
        check_together(self, {name: source.config_keys for name, source in sources().items()}, {*KEYS})
        object.__setattr__(self, "source_keys", self._read_source_keys())

    @classmethod
    def from_dict(cls, values: Mapping[str, object], origin: str = "the configuration") -> "Config":
        """The configuration with these keys, and the defaults of the others.

        Raises:
            InputError: as `Config`, or an unknown key.
        """
        own = own_keys()
        for name in values:
            check_not_retired(str(name), origin)
            if name not in KEYS and name not in own:
                if isinstance(alg := values.get("alg"), str):
                    source_class(alg.lower())  # whose key it may be
                raise unknown_key(name, {*KEYS, *own}, origin)
        known = {name: read_value(name, KEYS[name], value, origin) for name, value in values.items() if name in KEYS}
        return cls(**known, source_keys={name: value for name, value in values.items() if name not in KEYS})

    def as_dict(self) -> dict[str, Any]:
        """Every key that the world has and its value, ready for JSON; `from_dict` is the way back."""
        values = {name: deepcopy(getattr(self, name)) for name in KEYS}
        return {name: value for name, value in values.items() if name not in OF_FAMILIES or value is not None} | (
            self.source_keys
        )

    def room(self) -> World:
        """The room, or the family, that the environment's keys describe."""
        if (world := world_named(self.env, self.grid_size)).life is None:
            return world_named(self.env, USUAL_SIZE if self.grid_size is None else self.grid_size, self.horizon)
        return world_named(type(world), self.grid_size, self.horizon, self.env_options)

    def goals(self) -> Sequence[Goal]:
        """The goals that train or are held out: all of a room, `n_tasks` of a family."""
        return self.room().drawn_goals(self.n_tasks, self.env_split_seed)

    def goal_split(self) -> Split:
        """Which goals train and which are held out."""
        goals = self.goals()
        if OLD_NAMES.get(self.split, self.split) == GUIDE:
            return guide_split(goals, self.env_split_seed, self.train_env_ratio)
        return split_named(self.split, goals, self.env_split_seed)

    def source_episodes(self) -> int | None:
        """Episodes of each learner; None for the source's usual number."""
        if self.total_source_timesteps is None:
            return self.n_episodes
        return self.total_source_timesteps // (self.n_stream * self.horizon)

    def source_options(self) -> dict[str, Any]:
        """The source's own options that were given, under the source's names for them."""
        values = self.as_dict()
        options = {option: values[name] for name, option in source_class(self.alg).config_keys.items() if option}
        return {option: value for option, value in options.items() if value is not None}

    def _read_source_keys(self) -> dict[str, Any]:
        """Every key of the source's own with its value, as the type of the option that it is."""
        source = source_class(self.alg)
        values: dict[str, Any] = dict.fromkeys(own_keys([source]))
        for name, value in self.source_keys.items():
            option = source.config_keys[name]
            if value is not None:
                assert option is not None, f"{name} of {self.alg} is neither an option nor a key of the schema"
                values[name] = typed_options(source, {option: value}, f"the source {self.alg}")[option]
        return values

    def slide(self) -> int:
        """How many of the oldest transitions go at once when the context is full."""
        return max(1, self.n_transit // 8) if self.n_slide is None else self.n_slide

    def histories_path(self) -> Path:
        """Where the histories lie: your own file, or where `keepmap collect` puts those of room, source and split."""
        if self.histories is not None:
            return Path(self.histories)
        name = default_histories(self.room(), self.alg, self.alg_seed, self.goal_split(), self.train_env_ratio)
        return Path(self.traj_dir or HISTORIES) / name

    def run_folder(self) -> Path:
        """Where checkpoints and the log go: `log_dir`, or a folder in `runs/` named after what sets this run apart."""
        if self.log_dir is not None:
            return Path(self.log_dir)
        room = self.room()
        parts = [f"{self.model}-{room.name}{room.suffix()}-seed{self.env_split_seed}"]
        if split_suffix(self.split):
            parts.append(split_suffix(self.split))
        if self.histories is not None:
            parts.append("own")
        compressor = self.make_compressor()
        if compressor is not None:
            parts.append(f"{compressor.name}-{compressor.max_length}")
        if self.train_seed:
            parts.append(f"train{self.train_seed}")
        return Path("runs") / "-".join(parts)

    def shape(self) -> "DecisionShape":
        """The sizes of the model."""
        from keepmap.agents.transformer import DecisionShape  # loads torch, which a configuration alone does not need

        return DecisionShape(
            observation_sizes=self.room().observation_sizes,
            n_actions=self.room().n_actions,
            n_embd=self.tf_n_embd,
            n_layer=self.tf_n_layer,
            n_head=self.tf_n_head,
            n_inner=self.tf_n_inner,
            dones=self.tf_dones,
            dropout=self.tf_dropout,
            attn_dropout=self.tf_attn_dropout,
        )

    def make_compressor(self) -> "Compressor | None":
        """What shortens the histories, or None."""
        if self.compressor is None:
            return None
        from keepmap.agents.compressor import make_compressor  # loads torch

        options = dict(self.compressor)
        return make_compressor(options.pop("name"), options, "compressor.name")


KEYS: dict[str, Kind] = {option.name: option.metadata["kind"] for option in fields(Config) if "kind" in option.metadata}
"""Every key, and what it may hold."""


def own_keys(of: Iterable[type[Source]] | None = None) -> list[str]:
    """The keys that sources declare and the schema does not know; by default those of all sources."""
    every = sources().values() if of is None else of
    return list(dict.fromkeys(name for source in every for name in source.config_keys if name not in KEYS))
