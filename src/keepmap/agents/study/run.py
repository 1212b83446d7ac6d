"""One run of a study: train, evaluate, measure, write."""

from dataclasses import asdict, dataclass
from functools import cache

from keepmap.agents.acting.agent import Agent, load_agent
from keepmap.agents.acting.context import Context
from keepmap.agents.compressor import Compressor
from keepmap.agents.config import Config
from keepmap.agents.evaluation.evaluate import evaluate
from keepmap.agents.evaluation.returns import Evaluation
from keepmap.agents.study.attention_change import attention_change, moments
from keepmap.agents.study.cost import cached_cost, shortened_cost, whole_window_cost, window_steps
from keepmap.agents.study.job import EPISODES, StudyJob, baseline_agent, write_result
from keepmap.agents.study.results import StudyRun
from keepmap.agents.study.tally import Tally, watched
from keepmap.agents.training.loop import train
from keepmap.core.files import make_folder
from keepmap.core.progress import Progress

__all__ = ["do_job", "use_of"]

TRAINED, PLAYED = 0.8, 0.98
"""How much of a run is done after its training, and after its evaluation; without training it begins at 0."""


def do_job(job: StudyJob, progress: Progress) -> None:
    """Train where that is asked for, evaluate, measure, and write the result whole.

    Raises:
        KeepmapError: what training and evaluation raise; a training that was stopped goes on the next time.
    """
    baseline = baseline_agent(job.checkpoint)
    make_folder(job.folder)
    agent = baseline if job.config is None else _trained(job.config, progress)
    compressor = job.planned.make()
    evaluation, tally = _evaluated(agent, compressor, job, TRAINED if job.config else 0.0, progress)
    use = use_of(agent, compressor, tally, EPISODES)
    change = attention_change(agent, baseline, compressor, _moments(job.checkpoint))
    run = StudyRun(
        **asdict(job.planned),
        optimum=evaluation.optimum,
        returns=evaluation.all_returns,
        **vars(use),
        distance=tuple(change.distance.tolist()),
        entropy=tuple(change.entropy.tolist()),
        baseline_entropy=tuple(change.baseline_entropy.tolist()),
        nats=tuple(change.nats.tolist()),
        recent_distant=tuple(change.recent_distant.tolist()),
    )
    write_result(job, run)


def _trained(config: Config, progress: Progress) -> Agent:
    train(config, progress=lambda share: progress(TRAINED * share))
    return load_agent(config.run_folder())


def _evaluated(
    agent: Agent, compressor: Compressor | None, job: StudyJob, begun: float, progress: Progress
) -> tuple[Evaluation, Tally]:
    """The returns, and how many transitions were kept."""
    tally = Tally(whole_life=compressor is not None and compressor.remembers)
    evaluation = evaluate(
        agent,
        agent.held_out,
        episodes=EPISODES,
        copies=job.copies,
        compressor="none" if compressor is None else watched(compressor, tally.see),
        progress=lambda share: progress(begun + (PLAYED - begun) * share),
    )
    return evaluation, tally


@dataclass(frozen=True, kw_only=True)
class Use:
    """What acting took: the fields of these names of a `StudyRun`."""

    kept: float
    most_kept: int
    length_mean: float
    flops: float
    bytes: int
    again_flops: float | None


def use_of(agent: Agent, compressor: Compressor | None, tally: Tally, episodes: int) -> Use:
    """What acting took through so many episodes, of which a tally counted what was kept."""
    shape, actions = agent.model.shape, episodes * agent.room.horizon
    size, slide = agent.config.n_transit, agent.config.slide()
    if compressor is None:
        lengths = [n for n, _ in window_steps(actions, size, slide)]
        cost, again = cached_cost(shape, actions, size, slide), whole_window_cost(shape, actions, size, slide)
        mean = sum(lengths) / actions
        return Use(
            kept=mean,
            most_kept=max(lengths),
            length_mean=mean,
            flops=cost.flops,
            bytes=cost.bytes,
            again_flops=again.flops,
        )
    times = sum(tally.kept.values())
    cost = shortened_cost(shape, compressor, tally, actions, size, slide)
    kept = sum(m * count for m, count in tally.kept.items()) / times
    return Use(
        kept=kept,
        most_kept=max(tally.kept),
        length_mean=tally.length / times,
        flops=cost.flops,
        bytes=cost.bytes,
        again_flops=None,
    )


@cache
def _moments(name: str) -> tuple[Context, ...]:
    """The fixed histories of a baseline's goals, made once in a process."""
    return moments(baseline_agent(name))
