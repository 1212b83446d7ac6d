"""Insights into agents, tested by deletion: where the answer is planted, and equal to histories shortened by hand."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.vector import VectorEnv

import keepmap
from keepmap.agents.acting.agent import Agent, load_agent
from keepmap.agents.acting.rollout import decide
from keepmap.agents.compressor import Compressor
from keepmap.agents.compressors.random import RandomCompressor
from keepmap.agents.history import History
from keepmap.errors import InputError
from keepmap.insight import verify_agent as deletion_agent
from keepmap.insight.agent_subject import AgentSubject
from keepmap.insight.deletions import at_random, by_pattern
from keepmap.insight.guide import GuideInsight, guide_insight
from keepmap.insight.subjects import subject_of
from keepmap.insight.verdicts import verdicts
from keepmap.insight.verification import ALIKE, HELD, Trial, Verification
from keepmap.insight.verify_agent import costs_of, verify_agent
from keepmap.printing.verification import verification_lines
from tests.agents.checkpoint_folders import write_agent
from tests.insight.walks import N, walks


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Agent:
    return load_agent(write_agent(tmp_path_factory.mktemp("run"), split="0/3"))


@pytest.fixture(scope="module")
def recent_agent(tmp_path_factory: pytest.TempPathFactory) -> Agent:
    """One layer whose query attends by age alone: half to itself and the newest transition, the rest to two more."""
    agent = load_agent(write_agent(tmp_path_factory.mktemp("run"), tf_n_layer=1, split="0/3"))
    block = agent.model.blocks[0]
    with torch.no_grad():
        d = block.query.weight.shape[0]
        for linear in (block.query, block.key_value):
            linear.weight[:d], linear.bias[:d] = 0.0, 0.0
            # Of each head's rotary pairs the second, which turns slowly enough not to come round.
            linear.bias[:d].unflatten(0, (2, -1))[:, 2] = 5.3
        block.out.weight *= 3
    return agent


def test_costs_are_those_of_a_history_shortened_by_hand(agent: Agent) -> None:
    (context,) = walks(1)
    history, now = context.history, context.history.times[:, -1] + 1
    whole = decide(agent.model, history, context.query_states, now).detach().log_softmax(1)
    generator = torch.Generator().manual_seed(0)
    kept = torch.rand(5, N, generator=generator) < torch.tensor([0.1, 0.3, 0.5, 0.9, 1.1])[:, None]
    result = costs_of(agent, context, kept)
    for row, mask in enumerate(kept):
        short = History(**{name: value[:, mask] for name, value in vars(history).items() if value is not None})
        logits = decide(agent.model, short, context.query_states, now).detach().log_softmax(1)
        assert result["kl"][row] == pytest.approx(float((whole.exp() * (whole - logits)).sum()), abs=1e-5)
        lost = float(whole[0, context.action] - logits[0, context.action])
        assert result["log_likelihood"][row] == pytest.approx(lost, abs=1e-5)
    assert result["kl"][4] == pytest.approx(0, abs=1e-6) and (result["kl"][:4] > 1e-6).all()


def test_a_planted_recency_holds_and_an_even_spread_does_not(recent_agent: Agent) -> None:
    contexts = walks(24)
    profile = keepmap.profile_attention(recent_agent, (contexts[0].history, contexts[0].query_states))
    for head in range(2):
        row = subject_of(profile).shares(profile, 0, [head]).positions
        assert float(row[-3:].sum() / row.sum()) > 0.98
    assert {verdict.pattern for verdict in verdicts(profile, share=0.97)} == {"recency"}
    result = verify_agent(recent_agent, contexts, share=0.97, episodes=0)
    (ours,) = (insight for insight in result.insights if insight.rule == "ours")
    assert (ours.pattern, ours.word, ours.n) == ("recency", HELD, 24) and ours.kept == pytest.approx(2 / 11)
    assert ours.cost < 0.1 * ours.random
    assert result.suggestion.line.endswith("RecencyCompressor(keep_recent=3)") and result.compared == ()
    # The other three patterns' claim, by the same test.
    stays = torch.zeros(N, dtype=torch.bool)
    stays[-1] = True
    trials = []
    for sample, context in enumerate(contexts):
        even, rng = by_pattern("uniform", 3, torch.ones(N), stays).kept, np.random.default_rng(sample)
        drawn = [at_random(even[None], stays, rng)[0] for _ in range(8)]
        costs = costs_of(recent_agent, context, torch.stack([even, *drawn]) | stays)
        cost, random = (
            {name: float(values[part].mean()) for name, values in costs.items()} for part in (slice(1), slice(1, None))
        )
        trials.append(
            Trial(
                layer=0,
                sample=sample,
                group=sample,
                rule="ours",
                pattern="uniform",
                kept=2,
                of=11,
                cost=cost,
                random=random,
            )
        )
    (spread,) = replace(result, trials=tuple(trials)).insights
    assert spread.word != HELD


@pytest.fixture(scope="module")
def verification(agent: Agent) -> Verification:
    return verify_agent(agent, walks(4), draws=3, episodes=2)


def test_every_layer_and_sample_has_its_trials(agent: Agent, verification: Verification) -> None:
    assert (verification.host, verification.costs) == ("agent", ("kl", "log_likelihood"))
    assert all(0 < trial.kept < trial.of == N - 1 for trial in verification.trials)
    assert {(trial.layer, trial.rule) for trial in verification.trials} >= {(0, "guide"), (1, "guide")}
    assert {comparison.rule for comparison in verification.compared} == {"guide", "ours"}
    for comparison in verification.compared:
        assert comparison.n == len(agent.held_out) == 3 and comparison.saved == pytest.approx(
            comparison.suggested - comparison.random
        )
    lines = verification_lines(verification)
    assert all(len(line) <= 80 for line in lines if "compressor = " not in line)
    assert "4 contexts" in lines[0] and "(3 goals)" in "\n".join(lines)


def test_the_same_seed_gives_the_same(agent: Agent, verification: Verification) -> None:
    shares = list[float]()
    again = verify_agent(agent, walks(4), draws=3, episodes=2, progress=shares.append)
    assert again == verification and shares == sorted(shares) and shares[-1] == 1
    other = verify_agent(agent, walks(4), draws=3, episodes=0, seed=1)
    assert [trial.cost for trial in other.trials] == [trial.cost for trial in verification.trials]
    assert [trial.random for trial in other.trials] != [trial.random for trial in verification.trials]


def test_where_nothing_can_be_dropped_it_says_so(agent: Agent, tmp_path: Path) -> None:
    short = verify_agent(agent, walks(2, n=3), share=0.979, episodes=0)
    assert not short.trials and not short.insights
    assert "layer 0, guide: no trial in 2 of 2 samples: nothing is dropped" in short.skipped
    everyone = load_agent(write_agent(tmp_path / "run", split="all"))
    result = verify_agent(everyone, walks(2), episodes=1)
    assert "returns: the agent has no held-out goals to play" in result.skipped and not result.compared
    small = load_agent(write_agent(tmp_path / "small", split="0/3", n_transit=10))
    assert "returns, guide: 10 of 10 are kept: nothing is dropped" in verify_agent(small, walks(2), episodes=1).skipped


def test_one_context_refutes_and_none_is_an_error(agent: Agent) -> None:
    assert {insight.word for insight in verify_agent(agent, walks(1), episodes=0).insights} == {ALIKE}
    with pytest.raises(InputError, match="one or more, got none"):
        verify_agent(agent, [])


def test_a_higher_return_than_the_controls_is_better(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    by_arm = {type(None): 9.0, RandomCompressor: 1.0}

    def play(
        agent: Agent, envs: VectorEnv, episodes: int, *, seed: int = 0, compressor: Compressor | None = None
    ) -> np.ndarray:
        """Returns that differ from goal to goal; the copies that play a goal stand side by side."""
        by_goal = by_arm.get(type(compressor), 5.0) + np.arange(3.0)
        return np.repeat(by_goal, envs.num_envs // 3)[:, None].repeat(episodes, 1)

    monkeypatch.setattr(Agent, "play", play)
    for comparison in verify_agent(agent, walks(2), draws=1, episodes=1).compared:
        assert (comparison.whole, comparison.suggested, comparison.random, comparison.saved, comparison.word) == (
            10.0,
            6.0,
            2.0,
            4.0,
            HELD,
        )
        simplest = "uniform" if comparison.suggestion.name == "recency" else "recency"
        assert comparison.lost is not None and comparison.lost.mean == 4.0
        assert comparison.rival is not None and (comparison.rival.name, comparison.rival.value) == (simplest, 6.0)
        assert comparison.rival.better.mean == 0.0


def test_random_is_the_mean_of_the_draws(agent: Agent, monkeypatch) -> None:
    calls: list[dict[str, np.ndarray]] = []

    def noted(*arguments: Any) -> dict[str, Any]:
        calls.append(costs_of(*arguments))
        return calls[-1]

    monkeypatch.setattr(deletion_agent, "costs_of", noted)
    result = verify_agent(agent, walks(1), draws=3, episodes=0, seed=4)
    (costs,) = calls
    by_trial = costs["kl"].reshape(len(result.trials), 4)
    for trial, (own, *drawn) in zip(result.trials, by_trial, strict=True):
        assert trial.cost["kl"] == pytest.approx(own)
        assert len(set(drawn)) > 1 and trial.random["kl"] == pytest.approx(sum(drawn) / 3)


def test_the_guide_s_line_is_that_of_the_last_layer(agent: Agent, monkeypatch) -> None:
    patterns = iter(["recency", "sparse"])

    def by_layer(statistics: Any) -> GuideInsight:
        return replace(guide_insight(statistics), suggested=AgentSubject().suggestion(next(patterns), 2, 10))

    monkeypatch.setattr(deletion_agent, "guide_insight", by_layer)
    result = verify_agent(agent, walks(2), draws=1, episodes=1)
    assert (
        next(comparison for comparison in result.compared if comparison.rule == "guide").suggestion.name == "attention"
    )
