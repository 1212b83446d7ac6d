"""Files of histories: written whole, read in slices; files of others, cut and damaged ones."""

import random

import h5py
import numpy as np
import pytest

from keepmap.agents.collection.collect import collect
from keepmap.agents.collection.dataset import NAMES, Streams, open_histories, writing_histories
from keepmap.agents.environments import room_named
from keepmap.errors import InputError, OutputError

ROOM = room_named("darkroom")
GOALS = ((0, 3), (8, 8), (4, 4))


def streams(seed: int, steps: int = 40, n: int = 3) -> Streams:
    generator = np.random.default_rng(seed)
    draw = {name: generator.integers(0, 9, (steps, n, 2), dtype=np.uint8) for name in ("states", "next_states")}
    return Streams(
        **draw,
        actions=generator.integers(0, 5, (steps, n), dtype=np.uint8),
        rewards=generator.integers(0, 2, (steps, n), dtype=np.uint8),
        dones=generator.random((steps, n)) < 0.1,
    )


def write(path, steps: int = 40, goals=GOALS) -> None:
    options = {"epsilon": 0.1}
    with writing_histories(path, ROOM, source="mine", seed=7, options=options, split="seed", split_seed=0) as writer:
        for number, goal in enumerate(goals):
            writer.add(goal, streams(number, steps))


def foreign(path, **changed) -> None:
    """A file as the guide's own code writes it: int32, no attributes."""
    with h5py.File(path, "w") as file:
        for goal in range(2):
            histories = streams(goal)
            for name in NAMES:
                values = getattr(histories, name)
                wide = values if name == "dones" else values.astype(np.int32)
                file.create_dataset(f"{goal}/{name}", data=changed.get(name, wide))


def test_what_was_written_is_read_and_nothing_else_is_loaded(tmp_path):
    path = tmp_path / "histories.hdf5"
    write(path)
    histories = open_histories(path)
    assert (histories.room, histories.source, histories.seed, histories.options) == (ROOM, "mine", 7, {"epsilon": 0.1})
    assert (histories.split, histories.split_seed) == ("guide", 0)
    assert histories.goals == ((0, 3), (4, 4), (8, 8))
    assert (len(histories), histories.n_steps, histories.n_learners) == (3, 40, 3)
    for position, seed in enumerate((0, 2, 1)):
        for name in NAMES:
            read, written = getattr(histories[position], name), getattr(streams(seed), name)
            np.testing.assert_array_equal(read, written)
            assert read.dtype == written.dtype
    part = histories.read(2, slice(5, 25, 2), slice(1, None))
    np.testing.assert_array_equal(part.next_states, streams(1).next_states[5:25:2, 1:])
    assert len(list(histories)) == 3
    with pytest.raises(IndexError):
        histories.read(3)
    with h5py.File(path) as file:
        assert sorted(file) == ["3", "40", "80"]
        assert [file["80"][name].dtype.itemsize for name in NAMES] == [1] * 5
        assert file.attrs["schema_version"] == 1


def test_what_it_shows_of_itself(tmp_path):
    write(tmp_path / "h.hdf5")
    histories = open_histories(tmp_path / "h.hdf5")
    assert open_histories(histories) is histories
    lines = repr(histories).splitlines()
    assert len(lines) == 2 and lines[0].startswith(f"Histories({tmp_path / 'h.hdf5'}: darkroom ")
    assert f"{len(GOALS)} goals, 3 learners of each, 40 steps of each" in lines[0]
    assert repr(histories[0]) == "Streams(40 steps x 3 learners)"
    assert f"{len(GOALS)}" in histories._repr_html_() and "steps of each learner" in histories._repr_html_()


def test_the_same_content_has_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with h5py.File(tmp_path / "a") as file:  # a time of writing would only differ in the next second
        assert [h5py.h5g.get_objinfo(file[f"3/{name}"].id).mtime for name in NAMES] == [0] * 5


def test_a_file_of_the_guides_own_code(tmp_path):
    foreign(tmp_path / "theirs.hdf5")
    histories = open_histories(tmp_path / "theirs.hdf5")
    assert histories.goals == ((0, 0), (0, 1))
    assert (histories.source, histories.seed, histories.options, histories.split) == (None, None, {}, None)
    np.testing.assert_array_equal(histories[1].rewards, streams(1).rewards)
    assert histories[1].states.dtype == np.uint8
    assert open_histories(tmp_path / "theirs.hdf5", "darkroom_hard").room == room_named("darkroom_hard")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"states": np.full((40, 3, 2), 9)}, "states of group 0 hold 9 to 9; they must lie in 0 to 8"),
        ({"actions": np.full((40, 3), -1)}, "actions of group 0 hold -1 to -1"),
        ({"rewards": np.full((40, 3), 0.5)}, "rewards of group 0 are not whole numbers"),
    ],
)
def test_values_that_cannot_be_are_refused_when_they_are_read(tmp_path, changed, message):
    foreign(tmp_path / "theirs.hdf5", **changed)
    with pytest.raises(InputError, match=message):
        open_histories(tmp_path / "theirs.hdf5").read(0)


def test_files_that_are_something_else(tmp_path):
    def refused(message: str, environment: str | None = None) -> None:
        with pytest.raises(InputError, match=message) as caught:
            open_histories(path, environment)
        assert "\n" not in str(caught.value)

    path = tmp_path / "file"
    refused("no histories at .*: no such file; make them with keepmap collect")
    path.mkdir()
    refused("a folder")
    path.rmdir()
    path.write_text("no HDF5")
    refused("as HDF5 .* it is truncated, damaged or another kind of file")
    foreign(path, next_states=np.zeros((40, 3)))
    refused(r"next_states of group 0 have the shape \(40, 3\)")
    foreign(path, actions=np.zeros((39, 3)))
    refused("of group 0 have the shape")
    with h5py.File(path, "w"):
        pass
    refused("holds no histories")
    with h5py.File(path, "w") as file:
        file.create_group("weights")
    refused('has the group "weights"')
    with h5py.File(path, "w") as file:
        file["0"] = 5
    refused('"0" is not a group')
    with h5py.File(path, "w") as file:
        file.create_group("0")
    refused("group 0 lacks states, actions, rewards, next_states, dones")
    foreign(path)
    with h5py.File(path, "a") as file:
        file["81/actions"] = 5
    refused('has the group "81"; darkroom 9x9 numbers its goals 0 to 80')
    foreign(path)
    with h5py.File(path, "a") as file:
        for name in NAMES:
            file[f"5/{name}"] = file[f"0/{name}"][:20]
    refused("has groups of different shapes")
    write(path)
    refused("expected histories of darkroom_hard, got those of darkroom in", "darkroom_hard")
    for name, value, message in (
        ("schema_version", 3, "has version 3 of its format, this keepmap reads 2"),
        ("format", "other", "its format is 'other'"),
    ):
        write(path)
        with h5py.File(path, "a") as file:
            file.attrs[name] = value
        refused(message)
    write(path)
    with h5py.File(path, "a") as file:
        del file["40"]
    refused("lacks groups of goals that it names")
    write(path)
    with h5py.File(path, "a") as file:
        del file.attrs["options"]
    refused("options")


def test_a_name_that_is_no_text_is_one_line(tmp_path):
    foreign(tmp_path / "guide.hdf5")
    with h5py.File(tmp_path / "guide.hdf5", "a") as file:
        file.create_group(b"\xff\xfe")
    with pytest.raises(InputError, match="has the group .*numbers its goals 0 to 80"):
        open_histories(tmp_path / "guide.hdf5")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.99])
def test_a_truncated_file(tmp_path, share):
    path = tmp_path / "histories.hdf5"
    write(path, steps=600)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match="it is truncated, damaged or another kind of file: collect it again"):
        open_histories(path)


def test_damaged_data_is_an_error_when_it_is_read(tmp_path):
    path = tmp_path / "histories.hdf5"
    write(path, steps=600)
    histories = open_histories(path)
    with h5py.File(path) as file:
        chunk = file["3"]["states"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + 40] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot read .* as HDF5"):
        histories.read(0)


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "histories.hdf5"
    write(path)
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"expected `goal` to be one of .*, got \(9, 9\)"):
        write(path, goals=((0, 0), (9, 9)))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["histories.hdf5"]
    with pytest.raises(OutputError, match="cannot write"):
        write(tmp_path / "none" / "histories.hdf5")


@pytest.fixture
def small(tmp_path):
    return collect("darkroom", size=2, learners=1, episodes=2, horizon=3, out=tmp_path / "small.hdf5")


def test_histories_with_a_flipped_byte_are_the_same_or_one_line(small):
    """Bytes of what it says, where texts of any length would have no checksum and hang HDF5, and some of the rest."""
    content, rng = small.path.read_bytes(), random.Random(0)
    own, n_errors = (repr(small), small.options, [streams.states.tolist() for streams in small]), 0
    texts = content.index(b"keepmap-histories")
    for at in sorted({*range(0, len(content), 397), *range(texts, texts + 300, 7)}):
        damaged = bytearray(content)
        damaged[at] ^= rng.randrange(1, 256)
        small.path.write_bytes(damaged)
        try:
            opened = open_histories(small.path)
            read = (repr(opened), opened.options, [streams.states.tolist() for streams in opened])
        except InputError as error:
            n_errors += "\n" not in str(error)
        else:
            assert read == own, f"byte {at}"
    assert n_errors > 30


def test_histories_with_texts_of_any_length_still_read_and_what_they_say_has_a_depth(small):
    with h5py.File(small.path, "a") as file:
        for name, value in [*file.attrs.items()]:
            file.attrs[name] = value.decode() if isinstance(value, bytes) else value
    assert repr(open_histories(small.path)) == repr(small) and open_histories(small.path).options == small.options
    with h5py.File(small.path, "a") as file:
        file.attrs["options"] = "[" * 20_000
    with pytest.raises(InputError, match="its options are nested too deeply"):
        open_histories(small.path)
