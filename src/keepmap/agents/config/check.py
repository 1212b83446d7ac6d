"""Which values of a configuration go together."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from keepmap.agents.collection.source import source_class
from keepmap.agents.config.sizes import check_memory
from keepmap.agents.environments.goals import GUIDE
from keepmap.agents.environments.world import World
from keepmap.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from keepmap.agents.config.schema import Config

__all__ = ["check_tasks", "check_together"]


SOURCE_KEYS = ("policy", "n_steps", "batch_size", "n_epochs", "source_lr")
"""Keys of the schema that sources share, and nothing else reads."""


def check_tasks(config: "Config", world: World) -> None:
    """Whether keys of families are given for one.

    Raises:
        InputError: they are given for a room.
    """
    if world.life is None and config.n_tasks is not None:
        raise InputError(f"n_tasks is {config.n_tasks}; the goals of {world.name} are all split: leave it out")
    if world.life is None and config.env_options is not None:
        raise InputError(f"env_options are {config.env_options}; {world.name} has none: leave them out")


def check_together(config: "Config", sources: Mapping[str, Mapping[str, str | None]], schema: Collection[str]) -> None:
    """Whether the values go together, and every one of them can act.

    Args:
        sources: algorithm -> the keys that it understands, beside those of every configuration.
        schema: the keys that every configuration has.

    Raises:
        InputError: they do not; one line says which.
    """
    _check_room(config, config.room())
    _check_split(config)
    _check_source(config, sources, schema)
    _check_histories(config)
    _check_model(config)
    check_memory(config)
    _check_compressor(config)


def _check_room(config: "Config", room: World) -> None:
    facts = {"dim_states": len(room.observation_sizes), "dim_actions": 1, "num_actions": room.n_actions}
    for name, fact in facts.items():
        if getattr(config, name) != fact:
            raise InputError(f"{name} is {getattr(config, name)}; {room.name} has {fact}: correct it or leave it out")
    best = room.best_return
    if config.max_reward is not None and config.max_reward < best:
        raise InputError(
            f"max_reward is {config.max_reward:g}; {room.name} with a horizon of {room.horizon} has returns of up to "
            f"{best:g}: leave it out, or set max_reward={best:g} or more"
        )


def _check_split(config: "Config") -> None:
    if config.split != GUIDE and config.train_env_ratio != type(config).train_env_ratio:
        raise InputError(
            f'train_env_ratio is {config.train_env_ratio:g}, which the split "{config.split}" does not use: '
            "leave it out"
        )
    if config.split == "all" and config.env_split_seed:
        raise InputError(f'env_split_seed is {config.env_split_seed}, which the split "all" does not use: leave it out')
    if not config.goal_split().train:
        raise InputError(f"train_env_ratio {config.train_env_ratio:g} leaves no goal for training; raise it")


def _check_source(config: "Config", sources: Mapping[str, Mapping[str, str | None]], schema: Collection[str]) -> None:
    if config.alg not in sources:
        raise InputError(f'unknown source "{config.alg}" as alg, {did_you_mean(config.alg, sources)}')
    source_class(config.alg)().check_world(config.room())
    for name, option in sources[config.alg].items():
        if (name in schema and name not in SOURCE_KEYS) or (name not in schema and option is None):
            raise InputError(
                f'the source {config.alg} cannot have "{name}" among its config_keys, which '
                f"{'every configuration has' if name in schema else 'is not an option of it'}; use another name"
            )
    values = {name: getattr(config, name) for name in SOURCE_KEYS} | config.source_keys
    for name, value in values.items():
        if value is not None and name not in sources[config.alg]:
            users = " or ".join(alg for alg, keys in sources.items() if name in keys)
            hint = f", or alg={users}" if users else ""
            raise InputError(f"{name} is given, which the source {config.alg} does not use: leave it out{hint}")
    total, episode_steps = config.total_source_timesteps, config.n_stream * config.horizon
    if total is None:
        return
    if config.n_episodes is not None:
        raise InputError(
            f"n_episodes {config.n_episodes} and total_source_timesteps {total} are both given; leave one of them out"
        )
    if total % episode_steps:
        raise InputError(
            f"total_source_timesteps is {total}; {config.n_stream} learners with episodes of {config.horizon} steps "
            f"need a multiple of {episode_steps}"
        )


def _check_histories(config: "Config") -> None:
    if config.histories is not None and config.traj_dir is not None:
        raise InputError(
            f'traj_dir "{config.traj_dir}" and histories "{config.histories}" are both given; leave one of them out'
        )


def _check_model(config: "Config") -> None:
    width, heads = config.tf_n_embd, config.tf_n_head
    if width % (2 * heads):
        raise InputError(
            f"tf_n_embd is {width} and tf_n_head {heads}; the width must be a multiple of {2 * heads}, so that heads "
            "have an even one"
        )
    if config.n_slide is not None and config.n_slide > config.n_transit:
        raise InputError(f"n_slide is {config.n_slide}, more than the {config.n_transit} transitions of n_transit")


def _check_compressor(config: "Config") -> None:
    if config.compressor is None:
        if config.compress_labels != type(config).compress_labels:
            raise InputError(
                f"compress_labels is {config.compress_labels}, which nothing uses without a compressor: leave it out"
            )
        return
    if not isinstance(config.compressor.get("name"), str):
        raise InputError("compressor has no name; write for example {name: recency, keep_recent: 10}")
    try:
        config.make_compressor()
    except InputError as error:
        raise InputError(f"compressor: {error}") from error
