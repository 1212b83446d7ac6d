"""Histories as a configuration asks for them: collecting them, and checking that a file holds them."""

from dataclasses import asdict

from keepmap.agents.collection.collect import Collected, Collection, check_sizes, collect_histories
from keepmap.agents.collection.dataset import Histories, open_histories
from keepmap.agents.collection.run import CollectionRun
from keepmap.agents.collection.source import Source, make_source
from keepmap.agents.config import Config
from keepmap.agents.config.sizes import check_training_memory
from keepmap.core.files import make_folder
from keepmap.core.progress import Progress
from keepmap.errors import InputError

__all__ = [
    "check_histories",
    "check_stored",
    "collect_configured",
    "configured_collection",
    "configured_source",
    "histories_missing",
    "missing_histories",
]


def configured_source(config: Config) -> Source:
    """The source algorithm with the options that the configuration gives it.

    Raises:
        InputError: a value that the source cannot take.
    """
    return make_source(config.alg, config.source_options())


def histories_missing(config: Config) -> bool:
    """Whether histories have to be collected first: no folder or file of them is named, and they are not there yet."""
    return config.traj_dir is None and config.histories is None and not config.histories_path().exists()


def collect_configured(config: Config, progress: Progress | None = None) -> Collected:
    """Collect the histories that the configuration asks for, into `config.histories_path()`.

    Args:
        progress: called with the share of the steps that are done.

    Raises:
        InputError: nothing to collect, or an option that the source cannot use, or a package that it lacks.
        OutputError: the file cannot be written.
    """
    return collect_histories(**vars(configured_collection(config)), progress=progress)


def missing_histories(config: Config, overwrite: bool = False) -> CollectionRun | None:
    """The collection of histories that are not there yet, where no folder of them is named; it waits for another one.

    Args:
        overwrite: whether other histories that were begun in their place are given up.

    Raises:
        InputError, OutputError: as `collect_configured`, or others were begun in their place.
    """
    if not histories_missing(config):
        return None
    run = CollectionRun(configured_collection(config), overwrite=overwrite, option="alg_seed", waits=True)
    run.check()
    return run


def configured_collection(config: Config) -> Collection:
    """What there is to collect for a configuration, checked before any work.

    Raises:
        InputError, OutputError: as `collect_configured`.
    """
    check_training_memory(config)  # before the hours that collecting may take
    source = configured_source(config)
    source.check()
    room, split, path, episodes = config.room(), config.goal_split(), config.histories_path(), config.source_episodes()
    episodes = (room.life or source.usual_episodes) if episodes is None else episodes
    check_sizes(room, split, config.n_stream, episodes, config.alg_seed)
    make_folder(path.parent)
    return Collection(
        room=room,
        source=source,
        split=split,
        path=path,
        learners=config.n_stream,
        episodes=episodes,
        seed=config.alg_seed,
    )


def check_stored(config: Config) -> None:
    """Whether the histories that are there are those that the configuration asks for, before anything is written.

    Raises:
        InputError: as `check_histories`, or there are none.
    """
    check_histories(config, open_histories(config.histories_path()))


def check_histories(config: Config, histories: Histories) -> None:
    """Whether a file holds the histories that the configuration asks for: room, goals, learners, episodes, options.

    What the file does not say (those of the guide's own code do not say how they were made) is not compared. Of a file
    of one's own, named in `histories`, the room has to be the same and no goal a held-out one.

    Raises:
        InputError: it holds others; says which, and what to do.
    """
    source, split = configured_source(config), config.goal_split()
    is_own = config.histories is not None
    expected: dict[str, object] = {"room": config.room()}
    held: dict[str, object] = {"room": histories.room}
    if not is_own:
        expected["n_stream"], held["n_stream"] = config.n_stream, histories.n_learners
    if not is_own and (episodes := config.source_episodes()) is not None:
        expected["n_episodes"], held["n_episodes"] = episodes, histories.n_steps // histories.room.horizon
    if not is_own and histories.source is not None:
        options = asdict(source)
        expected |= {"alg": config.alg, "alg_seed": config.alg_seed}
        held |= {"alg": histories.source, "alg_seed": histories.seed}
        for option in config.source_options():
            expected[option], held[option] = options[option], histories.options.get(option)
    for name, value in expected.items():
        if held[name] != value:
            raise InputError(
                f"{histories.path} holds histories with {name} {held[name]}, and the configuration asks for {value}; "
                "collect them again, or change the configuration"
            )
    if strangers := set(histories.goals) - set(split.train):
        raise InputError(
            f"{histories.path} holds {len(strangers)} goals that the split {split.name} of seed {split.seed} does not "
            "train on; collect them again"
        )
    if not is_own and (missing := len(set(split.train) - set(histories.goals))):
        raise InputError(f"{histories.path} lacks {missing} goals that the split trains on; collect them again")
