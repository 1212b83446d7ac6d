"""Collecting as a function: the bytes of the command, silently, as a dataset that is open."""

from pathlib import Path

import pytest

from keepmap.agents.collection.collect import collect, planned_collection
from keepmap.agents.collection.dataset import Histories, open_histories
from keepmap.agents.collection.sources.optimistic import Optimistic
from keepmap.agents.collection.sources.q_learning import QLearning
from keepmap.agents.environments import environments, room_named
from keepmap.cli import main
from keepmap.errors import InputError, OutputError


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_function_writes_the_command_s_bytes_and_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    histories = collect(size=3, horizon=6, learners=2, episodes=3, seed=1, split="1/3", split_seed=2)
    assert capfd.readouterr() == ("", "")
    assert isinstance(histories, Histories)
    assert histories == open_histories(histories.path)
    assert histories.path == Path("datasets/history_darkroom-3x3x6_optimistic_alg-seed1_1of3_split-seed2.hdf5")
    options = "--size 3 --horizon 6 --learners 2 --episodes 3 --seed 1 --split 1/3 --split_seed 2 --out same.hdf5"
    assert main(["collect", *options.split()]) == 0
    assert Path("same.hdf5").read_bytes() == histories.path.read_bytes()


def test_a_source_may_be_given_as_it_is() -> None:
    small = {"size": 3, "horizon": 6, "learners": 2, "episodes": 3}
    by_name = collect(source="q_learning", options={"epsilon": "0.5"}, out="a.hdf5", **small)
    as_it_is = collect(source=QLearning(epsilon=0.5), out="b.hdf5", **small)
    assert by_name.options["epsilon"] == 0.5
    assert Path("a.hdf5").read_bytes() == Path("b.hdf5").read_bytes()
    assert (as_it_is.source, len(as_it_is)) == ("q_learning", 8)
    assert collect("keepmap/DarkKeyToDoor-9x9-v0", size=3, learners=1, episodes=1).room.name == "dark_key_to_door"


def test_the_source_s_usual_episodes_are_the_default() -> None:
    assert collect(size=2, horizon=4, learners=1).n_steps == 4 * Optimistic.usual_episodes


@pytest.mark.parametrize("source", ["optimistic", "q_learning"])
def test_progress_is_the_share_of_the_steps(source: str) -> None:
    shares: list[float] = []
    collect(source=source, size=3, horizon=6, learners=400, episodes=3, progress=shares.append)
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert len(shares) == 3 * 2, "8 goals in two parts, of which 3 episodes each"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": "optimist"}, 'unknown source "optimist"'),
        (
            {"source": Optimistic(), "options": {"epsilon": 1}},
            "expected `options` to be empty beside a source that has its",
        ),
        ({"environment": "maze"}, 'unknown environment "maze"'),
        ({"learners": 0}, "expected `learners` to be an integer of 1 or more, got 0"),
        ({"episodes": 0}, "expected `episodes` to be an integer of 1 or more, got 0"),
        ({"seed": -1}, "expected `seed` to be an integer of 0 or more, got -1"),
        ({"split_seed": 2**63}, "expected `split_seed` to be an integer of 9223372036854775807 or less, got"),
        ({"out": "."}, "expected `out` to be the name of a file, got the folder ."),
    ],
)
def test_what_cannot_be_collected_is_one_line(place: Path, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as refused:
        collect(**{"size": 3, "learners": 1} | arguments)  # type: ignore[arg-type]
    assert message in str(refused.value) and "\n" not in str(refused.value)
    assert not list(place.iterdir())


@pytest.mark.parametrize(("source", "shown"), [(Optimistic, "the class Optimistic"), (3, "3")])
def test_what_is_no_source(source: object, shown: str) -> None:
    # Not through `collect`, whose arguments' types are checked here before they are looked at.
    arguments = dict.fromkeys(("size", "horizon", "options", "out", "episodes")) | {"learners": 1, "seed": 0}
    plan = getattr(planned_collection, "__wrapped__", planned_collection)
    with pytest.raises(InputError) as refused:
        plan("darkroom", source, split="all", split_seed=0, **arguments)
    assert str(refused.value) == f"expected `source` to be a source or the name of one, got {shown}"


def test_a_folder_that_cannot_be_written() -> None:
    Path("file").write_text("")
    with pytest.raises(OutputError, match="cannot write into the folder file"):
        collect(size=3, learners=1, out="file/x.hdf5")


def test_what_is_planned_is_what_is_collected() -> None:
    plan = planned_collection(
        "darkroom",
        "optimistic",
        learners=2,
        episodes=None,
        seed=0,
        split="guide",
        split_seed=0,
        size=3,
        horizon=None,
        options=None,
        out=None,
    )
    assert (plan.room, plan.episodes, plan.learners) == (room_named("darkroom", 3), 16, 2)
    assert plan.path == Path("datasets/history_darkroom-3x3_optimistic_alg-seed0.hdf5")
    assert not plan.path.exists()


def test_a_room_is_taken_as_its_name_is(tmp_path):
    written = []
    for number, room in enumerate(("darkroom", environments()["darkroom"], environments()["darkroom"](size=5))):
        path = tmp_path / f"{number}.hdf5"
        collect(room, size=3, learners=1, episodes=1, out=path)
        written.append(path.read_bytes())
    assert written[0] == written[1] == written[2]


@pytest.mark.parametrize("sizes", [{"learners": 10**12}, {"episodes": 10**12}])
def test_what_does_not_go_into_memory_is_not_begun(sizes, tmp_path):
    with pytest.raises(InputError, match=r"^a goal of .* would take .* of memory, and there is .*; lower `learners`"):
        collect("darkroom", "optimistic", **{"learners": 10, "episodes": 10} | sizes, out=tmp_path / "none.hdf5")
    assert list(tmp_path.iterdir()) == []
