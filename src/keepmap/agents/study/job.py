"""What decides a run of a study: configuration, baseline, folder; and the result that a finished one has."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from keepmap.agents.acting.agent import Agent, load_agent
from keepmap.agents.checkpoints import newest_checkpoint
from keepmap.agents.config import Config
from keepmap.agents.config.load import apply_setting
from keepmap.agents.evaluation.returns import EARLY
from keepmap.agents.study.cost import pass_flops
from keepmap.agents.study.plan import PlannedRun
from keepmap.agents.study.results import BASELINE, StudyRun
from keepmap.agents.training.state import MAY_CHANGE
from keepmap.core.joining.options import as_settings
from keepmap.core.runs.records import write_synced
from keepmap.core.storage.documents import read_document, with_checksum
from keepmap.errors import InputError, ModelError

__all__ = [
    "BY_STUDY",
    "EPISODES",
    "RESULT",
    "StudyJob",
    "baseline_agent",
    "finished",
    "jobs_of",
    "load_baselines",
    "write_result",
]

EPISODES = EARLY[1]
RESULT = "result.json"
UPDATES, RATE, LABELS = 200, 3e-4, 4
"""Of a retraining: its updates, learning rate, and supervised actions in a window. A rate of 1e-3 unlearns more."""
BY_STUDY = {
    "compressor": "compressors",
    "train_timesteps": "updates",
    "train_seed": "seeds",
    "init": "checkpoint",
    "log_dir": "output_dir",
}
"""Keys that a study sets by itself -> the parameter that says how."""


@dataclass(frozen=True, kw_only=True)
class StudyJob:
    """A run with all that decides it; plain values, so that it can be sent to a process.

    Attributes:
        config: of its training, None where nothing is trained; `folder` is its run folder.
        checkpoint: the baseline's name, and `digest` of its weights.
        copies: of each held-out goal.
    """

    planned: PlannedRun
    config: Config | None
    checkpoint: str
    digest: str
    folder: Path
    copies: int

    def __str__(self) -> str:
        return f"the run {self.planned}"

    def facts(self) -> dict[str, Any]:
        """What a finished run must have been made with, to be this; where it and its baseline lie does not count."""
        compressor = self.planned.make()
        return {
            "planned": asdict(self.planned),
            "config": None if self.config is None else _deciding(self.config.as_dict()),
            "baseline": self.digest,
            "compressor": compressor and asdict(compressor),
            "copies": self.copies,
        }

    @property
    def weight(self) -> float:
        """How long it takes, roughly: in operations."""
        agent = baseline_agent(self.checkpoint)
        shape, window = agent.model.shape, agent.config.n_transit
        size = window if self.planned.compressor == BASELINE else self.planned.length
        acting = EPISODES * agent.room.horizon * len(agent.held_out) * self.copies * pass_flops(shape, size + 1)
        if self.config is None:
            return float(acting)
        labels = 2 if self.config.compressor is None else self.config.compress_labels
        batch = self.config.train_timesteps * self.config.train_batch_size
        return float(acting + 3 * batch * labels * pass_flops(shape, size + 1))


def load_baselines(checkpoints: Sequence[str | Path]) -> list[Agent]:
    """The agents that all is compared with.

    Raises:
        ModelError: there is none, or it was trained with a compressor.
        InputError: they differ in more than their training seed, or not in it, or hold out no goal.
    """
    agents = [load_agent(checkpoint) for checkpoint in checkpoints]
    first = agents[0]
    for agent in agents:
        if agent.compressor is not None:
            raise ModelError(
                f"{agent.name} was trained with {agent.compressor}; a baseline is trained with whole windows"
            )
        if not agent.held_out:
            raise InputError(f"{agent.name} holds out no goal; a study needs some that its training never saw")
        of_first, of_agent = _deciding(first.config.as_dict()), _deciding(agent.config.as_dict())
        for key, value in of_first.items():
            if of_agent[key] != value and key != "train_seed":
                raise InputError(
                    f"{agent.name} was trained with {key} {of_agent[key]} and {first.name} with {value}; the baselines "
                    "of a study differ in their seed alone"
                )
    by_seed: dict[int, str] = {}
    for agent in agents:
        seed = agent.config.train_seed
        if seed in by_seed:
            raise InputError(
                f"{by_seed[seed]} and {agent.name} were both trained with train_seed {seed}; the baselines of a study "
                "have a seed each"
            )
        by_seed[seed] = agent.name
    return agents


def jobs_of(
    plan: Sequence[PlannedRun],
    agents: Sequence[Agent],
    folder: Path,
    *,
    config: Config | None = None,
    settings: Sequence[str] = (),
    updates: int | None = None,
    from_scratch: bool = False,
    copies: int = 8,
) -> list[StudyJob]:
    """The jobs of a plan, those that take longest first.

    Args:
        agents: the baselines: one, or one for each seed.
        config: of the trainings; by default the baseline's own.
        settings: `key=value`, over it.
        updates: of each training; by default 200, and the configuration's number from scratch.
        from_scratch: train from random weights, with the configuration's learning rate; else from the baseline's.

    Raises:
        InputError: a key that cannot be set here, a configuration that does not fit the baseline, or no copy or update.
    """
    for name, value in (("copies", copies), ("updates", updates)):
        if value is not None and value < 1:
            raise InputError(f"expected `{name}` to be 1 or more, got {value}")
    updates = updates if updates is not None or from_scratch else UPDATES
    changes: dict[str, Any] = {}
    for setting in as_settings(settings):
        apply_setting(changes, setting)
    for key in changes:
        if key in BY_STUDY:
            raise InputError(f"{key} in `settings` is not supported: a study sets it by itself; see `{BY_STUDY[key]}`")
    jobs = []
    for planned in plan:
        agent = agents[min(planned.seed, len(agents) - 1)]
        run = folder / "runs" / str(planned)
        training = None
        if planned.trained:
            training = _config(planned, agent, run, config or agent.config, changes, updates, from_scratch)
            _check_fits(training, agent)
        jobs.append(
            StudyJob(
                planned=planned,
                config=training,
                checkpoint=agent.name,
                digest=_digest(agent.name),
                folder=run,
                copies=copies,
            )
        )
    return sorted(jobs, key=lambda job: -job.weight)


def write_result(job: StudyJob, run: StudyRun) -> None:
    """Write the result of a job: it is on the disk, or it is not there.

    Raises:
        OutputError: it cannot be written.
    """
    document = with_checksum({"facts": job.facts(), "run": run.document()})
    text = json.dumps(document, allow_nan=False, sort_keys=True)
    write_synced(job.folder / RESULT, f"{text}\n".encode())


def finished(job: StudyJob) -> StudyRun | None:
    """The result of a job that has been done; None where there is none yet.

    Raises:
        InputError: the folder holds the result of another run, a damaged one, or no checkpoint beside it.
    """
    path = job.folder / RESULT
    if not path.exists():
        return None
    try:
        document = read_document(path)
        facts, run = document["facts"], StudyRun.from_document(document["run"])
        if facts.get("config"):
            facts["config"] = _deciding(facts["config"])
        if any(getattr(run, key) != value for key, value in facts["planned"].items()):
            raise ValueError("its facts are those of another run")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"cannot read {path} ({' '.join(str(error).split())}); delete it to do the run again"
        ) from None
    # As JSON has it: without tuples.
    expected = json.loads(json.dumps(job.facts()))
    if facts != expected:
        changed = _first_difference(expected, facts)
        raise InputError(
            f"{job.folder} holds a run with another {changed}; give another `output_dir`, or delete that folder"
        )
    if job.config is not None and newest_checkpoint(job.folder) is None:
        raise InputError(
            f"{job.folder} holds a result and no longer the checkpoint that it is of; delete that folder to do the run "
            "again"
        )
    return run


@cache
def baseline_agent(name: str) -> Agent:
    """The agent of this name, loaded once in a process."""
    return load_agent(name)


@cache
def _digest(name: str) -> str:
    """A digest of an agent's weights, wherever they lie."""
    digest = hashlib.sha256()
    for key, value in sorted(baseline_agent(name).model.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _config(
    planned: PlannedRun,
    agent: Agent,
    run: Path,
    config: Config,
    changes: dict[str, Any],
    updates: int | None,
    from_scratch: bool,
) -> Config:
    compressor = planned.make()
    values = config.as_dict()
    values |= {"compressor": None, "compress_labels": Config.compress_labels, "init": None}
    if not from_scratch:
        assert updates is not None
        values |= {"lr": RATE, "num_warmup_steps": updates // 10, "eval_interval": 0, "ckpt_interval": 50}
        values |= {"init": agent.name, "compress_labels": LABELS}
    values |= changes
    values |= {"train_seed": planned.seed, "log_dir": str(run)}
    values |= {} if updates is None else {"train_timesteps": updates}
    if compressor is None:
        values |= {"compress_labels": Config.compress_labels}
    else:
        values |= {"compressor": {"name": compressor.name, **asdict(compressor)}}
    return Config.from_dict(values)


def _deciding(config: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a configuration that weights depend on; of the start, whether there is one: a digest says which."""
    return {key: value for key, value in config.items() if key not in MAY_CHANGE} | {"init": bool(config.get("init"))}


def _check_fits(config: Config, agent: Agent) -> None:
    of_training, of_baseline = _comparable(config), _comparable(agent.config)
    for key, value in of_baseline.items():
        if of_training[key] != value:
            raise InputError(
                f"the configuration has {key} {of_training[key]} and the baseline {agent.name} was trained with "
                f"{value}; they must be the same"
            )


def _comparable(config: Config) -> dict[str, Any]:
    return {
        "room": config.room(),
        "held-out goals": config.goal_split().held_out,
        "n_transit": config.n_transit,
        "n_slide": config.slide(),
        "sizes of the model": config.shape(),
    }


def _first_difference(expected: dict[str, Any], facts: dict[str, Any]) -> str:
    for key, value in expected.items():
        if facts.get(key) != value:
            if isinstance(value, dict) and isinstance(facts.get(key), dict):
                return _first_difference(value, facts[key])
            return key
    return "set of facts"
