"""How often what attention says can be dropped can be: the guide's rule and ours, on both hosts, tested by deletion.

The embedded agent's contexts are of learners that meet its held-out goals, early to late in their lives; the embedded
language model's texts are those of `keepmap sample-data`. With --model_name, that language model alone, on Python's
documentation (the first topics that are long enough), in a sixth of its layers, for docs/real-model.md. No figure here
has a goal: it is a measurement.
"""

import argparse
import itertools
import sys
from collections import Counter
from collections.abc import Sequence
from pydoc_data.topics import topics

import torch
from jaxtyping import Int
from torch import Tensor

import keepmap
from keepmap.agents.acting.agent import Agent
from keepmap.agents.acting.context import Context, context_at
from keepmap.agents.training.histories import configured_source
from keepmap.insight.verdicts import layer_guide, suggest, telling_layers, verdicts
from keepmap.insight.verification import COSTS, DRAWS, RULES, Compared, Rate, Verification, rate_of
from keepmap.insight.verify_agent import verify_agent
from keepmap.insight.verify_texts import verify_texts
from keepmap.kv.data.sample import sample_texts
from keepmap.language_model import LanguageModel
from report import REAL_MODEL, Report, write_part
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


def documentation(language_model: LanguageModel, texts: int, length: int) -> list[Int[Tensor, " N"]]:
    """The first `length` tokens of the first topics of Python's documentation that have as many."""
    assert language_model.tokenizer is not None
    tokens = (language_model.tokenizer.encode(topics[name]) for name in sorted(topics))
    return [
        torch.tensor(ids[:length]) for ids in itertools.islice((ids for ids in tokens if len(ids) >= length), texts)
    ]


def of_documentation(name: str, texts: int, length: int, draws: int, seed: int) -> tuple[Verification, list[str]]:
    """The insight into a language model, tested on Python's documentation, and what its verdicts are."""
    language_model = keepmap.load_language_model(name, device="cpu")
    ids = documentation(language_model, texts, length)
    profiles = [keepmap.profile_attention(language_model, text, hold=False) for text in ids]
    by_sample = [verdicts(profile) for profile in profiles]
    layers = telling_layers(by_sample)
    names = Counter(verdict.name for sample in by_sample for verdict in sample)
    given = [verdict.numbers.given for sample in by_sample for verdict in sample]
    suggested = {
        "guide": layer_guide(profiles, profiles[0].layers[-1]).suggested,
        "ours": suggest(profiles),
    }
    lines = [
        f"{len(ids)} texts of {length} tokens of Python's documentation; layers {', '.join(map(str, layers))}",
        f"Of {len(given)} heads x texts: "
        + ", ".join(f"{name} {100 * count / len(given):.1f} %" for name, count in names.most_common()),
        f"The first {profiles[0].n_sink} positions get more than half of the attention in "
        f"{sum(share > 0.5 for share in given) / len(ids):.1f} heads of a text, more than 70 % in "
        f"{sum(share > 0.7 for share in given) / len(ids):.1f}",
    ]

    def show(share: float) -> None:
        print(f"{100 * share:.1f} %", file=sys.stderr, flush=True)

    result = verify_texts(
        language_model, ids, draws=draws, layers=layers, suggested=suggested, seed=seed, progress=show
    )
    return result, lines


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
    for rule in RULES if len(verifications) > 1 else ():
        held = [
            insight.held for verification in verifications for insight in verification.insights if insight.rule == rule
        ]
        rows.append(["both", "KL", rule, *_rate(rate_of(verifications, rule)), f"{sum(held)} of {len(held)}"])
    for host, cost, rule, wins, share, layers in rows:
        if cost.startswith("KL") and (host == "both" or len(verifications) == 1):
            whose = "the guide's rule" if rule == "guide" else "the rule by head"
            report.find(
                "", f"Deletion by {whose} costs less than at random in {wins} cases, {share}; {layers} layers held."
            )
    head = ["host", "cost", "rule", "cheaper than random", "share and its 95 % interval", "layers that held"]
    report.table("Over layers and samples", head, rows)


def overall(report: Report, verifications: Sequence[Verification]) -> None:
    """The overall suggestions against the whole, random and a rival."""
    rows = [
        [verification.host, trial.rule, trial.suggestion.line.split("; ")[-1], trial.unit]
        + [f"{value:.3f}" for value in (trial.whole, trial.suggested, trial.random)]
        + ["" if trial.low is None else f"{trial.saved:+.3f} [{trial.low:+.3f}, {trial.high:+.3f}]", trial.word]
        + ["" if trial.lost is None else str(trial.lost)]
        + _beside(trial)
        for verification in verifications
        for trial in verification.compared
    ]
    shown = ["host", "rule", "suggestion", "unit", "suggested", "random", "better by", "verdict"]
    head = [*shown[:4], "whole", *shown[4:], "lost", "rival", "better than it by"]
    report.table("The suggestions, against the same length at random", head, rows, shown)


def _beside(trial: Compared) -> list[str]:
    rival = trial.rival
    return ["", ""] if rival is None else [f"{rival.name}: {rival.value:.3f}", str(rival.better)]


def _rate(rate: Rate) -> list[str]:
    ends = "" if rate.low is None or rate.high is None else f" [{rate.low:.0%}, {rate.high:.0%}]"
    return [f"{rate.wins} of {rate.n}", f"{rate.wins / rate.n:.0%}{ends}" if rate.n else "-"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_name", help="a language model, tested alone; by default tiny, and the agent")
    parser.add_argument("--draws", type=int, default=DRAWS, help="random choices for each trial")
    parser.add_argument("--learners", type=int, default=2, help="of each held-out goal")
    parser.add_argument("--texts", type=int, default=16, help="for the language model")
    parser.add_argument("--length", type=int, default=512, help="tokens of each text")
    parser.add_argument("--episodes", type=int, default=20, help="that the suggestions are played for")
    parser.add_argument("--seed", type=int, default=2026, help="of histories, texts and random choices")
    parser.add_argument("--write", action="store_true", help="write this part of benchmarks/RESULTS.md")
    options = parser.parse_args(arguments)
    if options.model_name is not None:
        report = Report(f"How often insight into attention holds on {options.model_name}")
        report.say(*machine())
        result, lines = of_documentation(options.model_name, options.texts, options.length, options.draws, options.seed)
        report.say("", *lines)
        rates(report, [result])
        overall(report, [result])
        if options.write:
            write_part(report, "bench_insight.py", sys.argv[1:] if arguments is None else arguments, REAL_MODEL)
        return 0
    report = Report("How often insight into attention holds")
    report.say(*machine())
    agent, language_model = keepmap.load_agent("tiny"), keepmap.load_language_model("tiny", device="cpu")
    texts = sample_texts(options.texts, seed=options.seed)
    assert language_model.tokenizer is not None
    ids = [torch.tensor(language_model.tokenizer.encode(text))[: options.length] for text in texts]
    verifications = [
        verify_agent(
            agent,
            contexts(agent, options.learners, options.seed),
            draws=options.draws,
            episodes=options.episodes,
            seed=options.seed,
        ),
        verify_texts(language_model, ids, draws=options.draws, seed=options.seed),
    ]
    rates(report, verifications)
    overall(report, verifications)
    if options.write:
        write_part(report, "bench_insight.py", sys.argv[1:] if arguments is None else arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
