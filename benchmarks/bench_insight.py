"""How often what attention says can be dropped can be: the guide's rule and ours, on both hosts, tested by deletion.

The embedded agent's contexts are of learners that meet its held-out goals, early to late in their lives; the embedded
language model's texts are those of `keepmap sample-data`. No figure here has a goal: it is a measurement.
"""

import argparse
import sys
from collections.abc import Sequence

import torch

import keepmap
from keepmap.agents.acting.agent import Agent
from keepmap.agents.acting.context import Context, context_at
from keepmap.agents.training.histories import configured_source
from keepmap.insight.verification import COSTS, RULES, Rate, Verification, rate_of
from keepmap.insight.verify_agent import verify_agent
from keepmap.insight.verify_texts import verify_texts
from keepmap.kv.data.sample import sample_texts
from report import Report, write_part
from timing import machine

EPISODES = (2, 4, 8, 14)
"""In whose middle the histories end, of the 16 of a learner's life."""


def contexts(agent: Agent, learners: int, seed: int) -> list[Context]:
    """Of every held-out goal, of some learners of it, at every moment."""
    source, horizon = configured_source(agent.config), agent.room.horizon
    listed = []
    for goal in agent.held_out:
        lives = source.learn(agent.room, [goal], learners, max(EPISODES), seed)
        listed += [
            context_at(lives, learner, (episode - 1) * horizon + horizon // 2, agent.config.n_transit, goal)
            for learner in range(learners)
            for episode in EPISODES
        ]
    return listed


def rates(report: Report, verifications: Sequence[Verification]) -> None:
    """How often each rule's deletion cost less than random's, and how many insights held."""
    rows = []
    for verification in verifications:
        samples = "contexts" if verification.host == "agent" else "texts"
        for cost in verification.costs:
            for rule in RULES:
                held = [insight.held for insight in verification.insights_by(cost) if insight.rule == rule]
                of = f"{verification.host}, {verification.n_samples} {samples}"
                what = COSTS[cost].replace("|", r"\|")
                rows.append([of, what, rule, *_rate(verification.rate(rule, cost)), f"{sum(held)} of {len(held)}"])
    for rule in RULES:
        held = [
            insight.held for verification in verifications for insight in verification.insights if insight.rule == rule
        ]
        rows.append(["both", "KL", rule, *_rate(rate_of(verifications, rule)), f"{sum(held)} of {len(held)}"])
    head = ["host", "cost", "rule", "cheaper than random", "share and its 95 % interval", "layers that held"]
    report.table("Over layers and samples", head, rows)


def overall(report: Report, verifications: Sequence[Verification]) -> None:
    """The overall suggestions against random."""
    rows = [
        [verification.host, trial.rule, trial.suggestion.line.split("; ")[-1], trial.unit]
        + [f"{value:.3f}" for value in (trial.whole, trial.suggested, trial.random)]
        + ["" if trial.low is None else f"{trial.saved:+.3f} [{trial.low:+.3f}, {trial.high:+.3f}]", trial.word]
        for verification in verifications
        for trial in verification.compared
    ]
    head = ["host", "rule", "suggestion", "unit", "whole", "suggested", "random", "better by", ""]
    report.table("The suggestions, against the same length at random", head, rows)


def _rate(rate: Rate) -> list[str]:
    ends = "" if rate.low is None or rate.high is None else f" [{rate.low:.0%}, {rate.high:.0%}]"
    return [f"{rate.wins} of {rate.n}", f"{rate.wins / rate.n:.0%}{ends}" if rate.n else "-"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--learners", type=int, default=2, help="of each held-out goal")
    parser.add_argument("--texts", type=int, default=16, help="for the language model")
    parser.add_argument("--length", type=int, default=512, help="tokens of each text")
    parser.add_argument("--episodes", type=int, default=20, help="that the suggestions are played for")
    parser.add_argument("--seed", type=int, default=2026, help="of histories, texts and random choices")
    parser.add_argument("--write", action="store_true", help="write this part of benchmarks/RESULTS.md")
    options = parser.parse_args(arguments)
    report = Report("How often insight into attention holds")
    report.say(*machine())
    agent, language_model = keepmap.load_agent("tiny"), keepmap.load_language_model("tiny", device="cpu")
    texts = sample_texts(options.texts, seed=options.seed)
    assert language_model.tokenizer is not None
    ids = [torch.tensor(language_model.tokenizer.encode(text))[: options.length] for text in texts]
    verifications = [
        verify_agent(
            agent, contexts(agent, options.learners, options.seed), episodes=options.episodes, seed=options.seed
        ),
        verify_texts(language_model, ids, seed=options.seed),
    ]
    rates(report, verifications)
    overall(report, verifications)
    if options.write:
        write_part(report, "bench_insight.py", sys.argv[1:] if arguments is None else arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
