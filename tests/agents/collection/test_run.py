"""A collection in its run folder: what is finished stays, and the file has the bytes of one that was never stopped."""

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from keepmap.agents.collection.collect import Collected, Collection, collect, planned_collection
from keepmap.agents.collection.run import SUFFIX, CollectionRun
from keepmap.agents.collection.sources.optimistic import Optimistic
from keepmap.core.joining.plugins import load_plugin, unload_plugins
from keepmap.core.runs.listing import runs_under
from keepmap.core.runs.lock import alone_in
from keepmap.errors import InputError, OutputError

SMALL = {"size": 3, "horizon": 4, "learners": 2, "episodes": 3}
OTHERS = dict.fromkeys(("options", "episodes", "size", "horizon")) | {"seed": 0, "split": "guide", "split_seed": 0}


@pytest.fixture
def learned(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of goals of each call of the source, which learns one goal at a time."""
    calls: list[int] = []
    learn = Optimistic.learn

    def counted(self, room, goals, *rest):
        calls.append(len(goals))
        return learn(self, room, goals, *rest)

    monkeypatch.setattr(Optimistic, "at_once", 2)
    monkeypatch.setattr(Optimistic, "learn", counted)
    return calls


def planned(out: Path, **changes: object) -> Collection:
    return planned_collection("darkroom", changes.pop("source", "optimistic"), out=out, **(OTHERS | SMALL | changes))  # type: ignore[arg-type]


def done(out: Path, *, overwrite: bool = False, stop: Callable[[float], None] | None = None, **changes: object):
    """A run from its check to its end; it, and what it collected."""
    run = CollectionRun(planned(out, **changes), overwrite=overwrite)
    run.check()
    with run:
        run.begin()
        return run, run.collect(stop)


def stopping(after: int) -> Callable[[float], None]:
    """Ends a collection of eight goals once so many of them are learned."""

    def stop(share: float) -> None:
        if share > after / 8:
            raise KeyboardInterrupt

    return stop


def calm(tmp_path: Path, **changes: object) -> bytes:
    path = tmp_path / "calm" / "calm.hdf5"
    collect(out=path, **(SMALL | changes))  # type: ignore[arg-type]
    return path.read_bytes()


def names(out: Path) -> set[str]:
    return {path.name for path in out.with_name(out.name + SUFFIX).iterdir()}


@pytest.mark.parametrize("after", [0, 3, 7])
def test_what_is_finished_is_not_learned_again(tmp_path: Path, learned: list[int], after: int) -> None:
    out = tmp_path / "data" / "h.hdf5"
    expected = calm(tmp_path)
    learned.clear()
    with pytest.raises(KeyboardInterrupt):
        done(out, stop=stopping(after))
    assert not out.exists() and len(learned) == after + 1
    (state,) = runs_under(tmp_path)
    assert (state.state, state.folder.name) == (f"stopped at {after} of 8", "h.hdf5.run")
    learned.clear()
    shares: list[float] = []
    run, collected = done(out, stop=shares.append)
    assert (run.n_reused, run.n_goals, len(learned)) == (after, 8, 8 - after)
    assert shares == sorted(shares) and shares[0] > after / 8 and shares[-1] == 1
    assert out.read_bytes() == expected and names(out) == {".lock", "run.json"}
    learned.clear()
    again, reread = done(out)
    assert (
        again.was_finished
        and not learned
        and (reread.returns, reread.optimum)
        == (
            collected.returns,
            collected.optimum,
        )
    )
    assert runs_under(tmp_path)[0].state == "finished" and out.read_bytes() == expected


def test_the_returns_are_those_of_the_rewards(tmp_path: Path) -> None:
    collected: Collected = done(tmp_path / "h.hdf5")[1]
    histories = collect(out=tmp_path / "same.hdf5", **SMALL)  # type: ignore[arg-type]
    rewards = [histories[position].rewards.reshape(3, 4, 2).sum(axis=1) for position in range(len(histories))]
    assert collected.returns == pytest.approx([sum(r[episode].sum() for r in rewards) / 16 for episode in range(3)])
    assert collected.steps == 8 * 2 * 3 * 4


def test_a_block_that_is_damaged_or_of_another_run_is_learned_again(tmp_path: Path, learned: list[int]) -> None:
    out = tmp_path / "h.hdf5"
    expected = calm(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        done(out, stop=stopping(5))
    first, second, third = sorted((tmp_path / "h.hdf5.run" / "blocks").glob("*.hdf5"))[:3]
    content = bytearray(first.read_bytes())
    content[-200] ^= 1
    first.write_bytes(content)
    second.unlink()
    record = third.with_suffix(".json")
    record.write_text(json.dumps(json.loads(record.read_text()) | {"run": "another"}))
    learned.clear()
    assert done(out)[0].n_reused == 2 and len(learned) == 6
    assert out.read_bytes() == expected


def test_another_collection_is_refused_and_replaced_when_the_new_file_is_ready(
    tmp_path: Path, learned: list[int]
) -> None:
    out = tmp_path / "h.hdf5"
    done(out)
    before = out.read_bytes()
    with pytest.raises(InputError, match=r"h.hdf5.run holds another run: `seed` is 0 there and 1 here; give `overw"):
        done(out, seed=1)
    with pytest.raises(KeyboardInterrupt):
        done(out, seed=1, overwrite=True, stop=stopping(4))
    assert out.read_bytes() == before
    assert done(out, seed=1)[0].n_reused == 4, "what goes on need not say again that it may overwrite"
    assert out.read_bytes() == calm(tmp_path, seed=1) != before
    learned.clear()
    assert done(out, seed=1, overwrite=True)[0].was_finished and not learned
    out.unlink()
    done(out)
    assert out.read_bytes() == before, "of a run whose file is gone nothing is left to be lost"


def test_a_file_without_a_run_counts_by_what_it_holds(tmp_path: Path, learned: list[int]) -> None:
    out = tmp_path / "h.hdf5"
    histories = collect(out=out, **SMALL)  # type: ignore[arg-type]
    learned.clear()
    run, collected = done(out)
    assert run.was_finished and not learned and collected.steps == len(histories) * 24
    collect(out=out, seed=3, **SMALL)  # type: ignore[arg-type]
    before = out.read_bytes()
    with pytest.raises(InputError, match=r"h.hdf5 holds other histories: `seed` is 3 there and 0 here; give `overwri"):
        done(out)
    assert out.read_bytes() == before
    done(out, overwrite=True)
    assert out.read_bytes() == calm(tmp_path)
    (tmp_path / "mine.hdf5").write_text("mine")
    with pytest.raises(OutputError, match="is there and is not a file of learning histories"):
        done(tmp_path / "mine.hdf5")
    done(tmp_path / "mine.hdf5", overwrite=True)
    assert (tmp_path / "mine.hdf5").read_bytes() == out.read_bytes()


SOURCE = """
from dataclasses import dataclass
from typing import ClassVar
from keepmap.agents.collection.sources.optimistic import Optimistic
@dataclass(frozen=True)
class Mine(Optimistic):
    name: ClassVar[str] = "mine"
"""


def test_a_source_of_a_plugin_that_has_changed_is_another_run(tmp_path: Path) -> None:
    plugin, out = tmp_path / "mine.py", tmp_path / "h.hdf5"
    try:
        for text, refused in ((SOURCE, False), (SOURCE + "# changed\n", True)):
            plugin.write_text(text)
            load_plugin(plugin)
            (tmp_path / "other.py").write_text(SOURCE.replace('"mine"', '"other"') + f"# {refused}\n")
            load_plugin(tmp_path / "other.py")
            if refused:
                with pytest.raises(InputError, match="the plugins has changed"):
                    done(out, source="mine")
                done(tmp_path / "own.hdf5")
            else:
                done(out, source="mine")
                done(tmp_path / "own.hdf5")
            unload_plugins()
    finally:
        unload_plugins()


def test_it_waits_for_another_one_only_where_it_is_told_to(tmp_path: Path, learned: list[int]) -> None:
    out, ended = tmp_path / "h.hdf5", threading.Event()
    (tmp_path / "h.hdf5.run").mkdir()

    def later() -> None:
        with CollectionRun(planned(out), waits=True) as run:
            run.begin()
            run.collect()
        ended.set()

    with alone_in(tmp_path / "h.hdf5.run", "`keepmap collect`", "`out`"):
        assert CollectionRun(planned(out)).is_going_on
        with pytest.raises(
            InputError, match="another `keepmap collect` is going on in .*; wait for it, or give another"
        ):
            done(out)
        thread = threading.Thread(target=later)
        thread.start()
        assert not ended.wait(0.3) and not learned
    thread.join(timeout=60)
    assert ended.is_set() and out.exists()
