"""What acting and training cost: against re-running the whole window, and against one label per window.

Both ways have the same sizes, random weights and the same room, and are timed in one run on one machine. The other way
is written out in whole_window.py and room_process.py. Figures that miss their goal are printed like the others.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from keepmap.agents.acting.agent import load_agent
from keepmap.agents.acting.rollout import play
from keepmap.agents.checkpoints import newest_checkpoint
from keepmap.agents.collection.collect import collect_histories
from keepmap.agents.collection.source import make_source
from keepmap.agents.config import Config, load_config
from keepmap.agents.evaluation.evaluate import evaluate
from keepmap.agents.evaluation.returns import EARLY
from keepmap.agents.families import copies_of
from keepmap.agents.training.loop import train
from keepmap.agents.training.loss import every_step
from keepmap.agents.training.windows import WindowBatch
from keepmap.agents.transformer import DecisionTransformer
from report import Goal, Report, write_part
from room_process import RoomProcesses
from timing import machine, medians
from whole_window import WholeWindow, act, training_step

AIM = 14.1  # what the AD paper's agent returns after 1,000 episodes


class _Enough(Exception):
    """The return was reached."""


def time_acting(
    report: Report, config: Config, windows: Sequence[int], copies: Sequence[int], steps: int, repeats: int
) -> list[Goal]:
    """Steps per second in context, once the window is full, on the held-out goals and copies of them."""
    held_out = config.goal_split().held_out
    rows, goals = [], []
    for n_transit in windows:
        for n in copies:
            some = [goal for goal in held_out for _ in range(n)]
            with RoomProcesses(some) as rooms:
                again = act(_whole_window(config, n_transit), rooms, n_transit, steps)
                ours, theirs = _in_turns(
                    lambda n_transit=n_transit, some=some: _our_acting(config, n_transit, some, steps),  # type: ignore[misc]
                    lambda again=again: _rate(again),  # type: ignore[misc]
                    repeats=repeats,
                )
            times = ours / theirs
            rows.append([f"{n_transit}", f"{len(some)}", f"{theirs:,.0f}", f"{ours:,.0f}", f"{times:.0f}x"])
            what = f"steps in context per second, {len(some)} rooms, window {n_transit}"
            goals.append(Goal(what, times, "x", ">=", 30))
    head = ["window", "rooms", "whole window, process per room: steps/s", "ours: steps/s", "ours / that"]
    report.table("Acting in context, full window, CPU", head, rows)
    return goals


def _our_acting(config: Config, n_transit: int, some: Sequence[tuple[int, ...]], steps: int) -> float:
    """Steps per second after the window has filled; slides of the window are part of it."""
    config = replace(config, n_transit=n_transit, n_slide=None)
    room = config.room()
    model = DecisionTransformer(config.shape()).eval()
    counted = max(steps, 4 * config.slide())
    episodes = -(-(config.n_transit + counted) // room.horizon)
    moments: list[float] = []
    play(
        model,
        copies_of(room, some),
        episodes,
        size=config.n_transit,
        slide=config.slide(),
        progress=lambda share: moments.append(time.perf_counter()),
    )
    return len(some) * counted / (moments[config.n_transit + counted - 1] - moments[config.n_transit - 1])


def time_training(report: Report, config: Config, windows: Sequence[int], batch: int, repeats: int) -> list[Goal]:
    """Supervised actions per second: forward, backward, clipping and the optimizer's step."""
    rows, goals = [], []
    for n in windows:
        work = {"one": training_step(_whole_window(config, n), n, batch)}
        work |= {kind: _our_training(config, n, batch, kind == "bf16") for kind in ("fp32", "bf16")}
        seconds = medians(work, repeats)
        labels = {"one": batch, "fp32": batch * n, "bf16": batch * n}
        rate = {name: labels[name] / seconds[name] for name in work}
        rows.append(
            [f"{n}", f"{rate['one']:,.0f}", f"{rate['fp32']:,.0f}", f"{rate['bf16']:,.0f}"]
            + [f"{rate[name] / rate['one']:.0f}x" for name in ("fp32", "bf16")]
        )
        goals.append(
            Goal(f"supervised actions per second, window {n}, fp32", rate["fp32"] / rate["one"], "x", ">=", 100)
        )
    head = ["window", "one label per window: actions/s", "every step, fp32", "bf16", "fp32 / one", "bf16 / one"]
    report.table(f"Training, batches of {batch}, CPU", head, rows)
    return goals


def _our_training(config: Config, n: int, size: int, bf16: bool) -> Callable[[], int]:
    shape = config.shape()
    model = DecisionTransformer(shape).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    draw = torch.Generator().manual_seed(0)
    states = torch.randint(min(shape.observation_sizes), (size, n, len(shape.observation_sizes)), generator=draw)
    actions, rewards = torch.randint(shape.n_actions, (size, n), generator=draw), torch.zeros(size, n)
    batch = WindowBatch(states, actions, rewards, states, torch.zeros(size, n, dtype=torch.bool))

    def update() -> int:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = every_step(model, batch).value
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return size * n

    return update


def time_until_solved(report: Report, config: Config, episodes: int) -> list[Goal]:
    """Minutes of collecting and training until the held-out goals return `AIM`; looking is not counted."""
    first, last = min(EARLY[0], episodes), min(EARLY[1], episodes)
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as folder:
        config = replace(config, traj_dir=f"{folder}/datasets", log_dir=f"{folder}/run", eval_interval=0)
        source = make_source(config.alg, config.source_options())
        Path(folder, "datasets").mkdir()
        begun = time.perf_counter()
        collect_histories(
            config.room(),
            source,
            config.goal_split(),
            config.histories_path(),
            learners=config.n_stream,
            episodes=config.source_episodes() or source.usual_episodes,
            seed=config.alg_seed,
        )
        looking, seen = 0.0, 0

        def look() -> None:
            nonlocal looking, seen
            now = time.perf_counter()
            checkpoint = newest_checkpoint(Path(folder) / "run")
            assert checkpoint is not None
            agent = load_agent(checkpoint)
            estimate = evaluate(agent, agent.held_out, episodes=episodes).estimate(first, last)
            seen = agent.step
            rows.append([f"{seen:,}", f"{(now - begun - looking) / 60:.2f}", str(estimate)])
            looking += time.perf_counter() - now
            if estimate.mean >= AIM:
                raise _Enough

        def progress(share: float) -> None:
            # A checkpoint is written after its update was reported.
            step = round(share * config.train_timesteps)
            if step > 1 and (step - 1) % config.ckpt_interval == 0 and step - 1 > seen:
                look()

        reached = False
        try:
            train(config, progress=progress)
            look()
        except _Enough:
            reached = True
    head = ["updates", "minutes", f"held-out return, episodes {first} to {last}, and its 95 % interval"]
    report.table("Training from nothing, histories included, CPU", head, rows)
    minutes = float(rows[-1][1])
    if not reached:
        report.say("", f"A held-out return of {AIM} was not reached in {seen:,} updates.")
        return []
    return [Goal(f"minutes until a held-out return of {AIM}", minutes, " min", "<=", 15)]


def _whole_window(config: Config, n: int) -> WholeWindow:
    torch.manual_seed(0)
    return WholeWindow(n, config.tf_n_embd, config.tf_n_layer, config.tf_n_head, config.tf_n_inner)


def _in_turns(*work: Callable[[], float], repeats: int) -> list[float]:
    """The median of what each gives, after a round that is not counted."""
    rounds = [[call() for call in work] for _ in range(repeats + 1)][1:]
    return [statistics.median(values) for values in zip(*rounds, strict=True)]


def _rate(run: Callable[[], int]) -> float:
    begun = time.perf_counter()
    steps = run()
    return steps / (time.perf_counter() - begun)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, nargs="+", default=[160, 240], help="transitions in the context")
    parser.add_argument("--copies", type=int, nargs="+", default=[1, 8], help="of each of the eight held-out goals")
    parser.add_argument("--steps", type=int, default=60, help="timed steps in every room")
    parser.add_argument("--batch", type=int, default=64, help="windows in an update")
    parser.add_argument("--repeats", type=int, default=5, help="timed runs of each, after one that is not")
    parser.add_argument("--set", nargs="+", default=["ckpt_interval=50"], help="keys of the training's configuration")
    parser.add_argument("--episodes", type=int, default=EARLY[1], help="of each look at the held-out goals")
    parser.add_argument("--no-training", action="store_true", help="leave out the training from nothing")
    parser.add_argument("--write", action="store_true", help="write this part of benchmarks/RESULTS.md")
    options = parser.parse_args(arguments)
    config = load_config(settings=options.set)
    report = Report("What acting and training cost")
    report.say(*machine())
    goals = time_acting(report, config, options.windows, options.copies, options.steps, options.repeats)
    goals += time_training(report, config, options.windows, options.batch, options.repeats)
    if not options.no_training:
        goals += time_until_solved(report, config, options.episodes)
    report.goals(goals)
    if options.write:
        write_part(report, "bench_agent.py", sys.argv[1:] if arguments is None else arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
