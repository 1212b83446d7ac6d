"""Small baselines, trained in a moment, with the histories that they were trained on, and jobs of a study of them."""

from dataclasses import replace
from pathlib import Path

from keepmap.agents.acting.agent import Agent
from keepmap.agents.config import Config
from keepmap.agents.study.job import StudyJob, jobs_of
from keepmap.agents.study.plan import PlannedRun
from keepmap.agents.training.histories import collect_configured
from keepmap.agents.training.loop import train

SMALL = Config(
    grid_size=4,
    horizon=6,
    max_reward=6.0,
    n_stream=4,
    n_episodes=5,
    tf_n_embd=16,
    tf_n_layer=1,
    tf_n_head=2,
    tf_n_inner=32,
    n_transit=12,
    train_timesteps=4,
    train_batch_size=4,
    test_batch_size=4,
    num_warmup_steps=3,
    eval_interval=0,
)


def make_baselines(place: Path) -> Path:
    """Two runs, in `runs/`, of training seeds 0 and 1, and `datasets/`."""
    for seed in (0, 1):
        config = replace(
            SMALL, train_seed=seed, traj_dir=str(place / "datasets"), log_dir=str(place / "runs" / f"base{seed}")
        )
        if not seed:
            collect_configured(config)
        train(config)
    return place


def quiet(share: float) -> None:
    """A run that nobody watches."""


def jobs(folder: Path, agents: list[Agent], *plan: PlannedRun, **options: object) -> list[StudyJob]:
    return jobs_of(plan, agents, folder, **options)  # type: ignore[arg-type]


BASE, SHORT = PlannedRun("baseline", 0.0, 12, 1, True), PlannedRun("recency", 75.0, 3, 1, True)
ALONE = replace(SHORT, seed=0, trained=False)
