"""Dark rooms: Gymnasium's checker, an obvious reference, a planner, and vectors that equal single environments."""

import warnings

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env

from keepmap.agents.environments import environments, room_named
from keepmap.agents.families import families
from keepmap.core.joining.plugins import load_plugin, unload_plugins
from keepmap.errors import InputError

IDS = (
    "keepmap/DarkRoom-9x9-v0",
    "keepmap/DarkRoomHard-17x17-v0",
    "keepmap/DarkRoomPermuted-9x9-v0",
    "keepmap/DarkKeyToDoor-9x9-v0",
)
SECTIONS = "Description|Action Space|Observation Space|Starting State|Rewards|Episode End|Arguments|References|Version"


@pytest.mark.parametrize("name", IDS)
def test_gymnasiums_checker_finds_nothing(name):
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        check_env(gymnasium.make(name).unwrapped)
    assert [str(complaint.message) for complaint in complaints] == []


@pytest.mark.parametrize("name", IDS)
def test_the_docstring_follows_gymnasiums_template(name):
    documented = type(gymnasium.make(name).unwrapped.room).__doc__
    assert [section for section in SECTIONS.split("|") if f"\n    ## {section}" not in documented] == []


def test_the_ids_say_the_sizes_and_horizons():
    assert [(room_named(name).size, room_named(name).horizon) for name in IDS] == [(9, 20), (17, 20), (9, 50), (9, 50)]
    assert [len(room_named(name).goals) for name in IDS] == [81, 289, 120, 6561]
    for name in IDS:
        assert gymnasium.make(name).unwrapped.room == room_named(name)
        assert room_named(name).gymnasium_id == name
        assert room_named(name).name in environments()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: room_named("darkrom"), 'unknown environment "darkrom", did you mean "darkroom"?'),
        (
            lambda: gymnasium.make(IDS[0], goal=(9, 0)),
            r"one of darkroom of size 9, \(0, 0\) to \(8, 8\), got \(9, 0\)",
        ),
        (lambda: gymnasium.make(IDS[2], goal=(0, 0, 1, 2, 3)), "expected `goal` to be one of"),
    ],
)
def test_what_cannot_be_is_said(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_the_rooms_are_found_by_name_and_by_their_own_id():
    assert list(environments()) == ["dark_key_to_door", "darkroom", "darkroom_hard", "darkroom_permuted"]
    assert {room.gymnasium_id for room in environments().values()} == {*IDS}
    assert all(type(room_named(name)) is room for name, room in environments().items())
    of_families = {family.gymnasium_id for family in families().values()}
    assert {name for name in gymnasium.registry if name.startswith("keepmap/")} == {*IDS} | of_families


PLUGIN = """
from dataclasses import dataclass
from typing import ClassVar
from keepmap.agents.environments.rooms.dark_room import DarkRoom

@dataclass(frozen=True)
class Tiny(DarkRoom):
    size: int = 3
    name: ClassVar[str] = "tiny_room"
    gymnasium_id: ClassVar[str] = "mine/Tiny-3x3-v0"
"""


def test_a_room_of_the_users_own_plays_and_can_be_taken_back(tmp_path):
    (tmp_path / "mine.py").write_text(PLUGIN)
    assert load_plugin(tmp_path / "mine.py") == ("tiny_room",)
    try:
        check_env(gymnasium.make("mine/Tiny-3x3-v0").unwrapped)
        assert gymnasium.make_vec("mine/Tiny-3x3-v0", num_envs=2, horizon=4).unwrapped.room == room_named(
            "tiny_room", horizon=4
        )
        assert room_named("mine/Tiny-3x3-v0").n_cells == 9
    finally:
        unload_plugins()
    assert "mine/Tiny-3x3-v0" not in gymnasium.registry and "tiny_room" not in environments()


@pytest.mark.parametrize(
    ("new_id", "message"),
    [
        ("a b", 'its gymnasium_id is "a b"; expected one such as "mine/Room-5x5-v0"'),
        (IDS[0], f'its gymnasium_id "{IDS[0]}" is taken; choose another'),
    ],
)
def test_a_room_with_an_id_that_is_refused(tmp_path, new_id, message):
    (tmp_path / "mine.py").write_text(PLUGIN.replace("mine/Tiny-3x3-v0", new_id))
    with pytest.raises(InputError) as refused:
        load_plugin(tmp_path / "mine.py")
    assert str(refused.value) == f"the plugin {tmp_path / 'mine.py'}: Tiny: {message}"
    assert "tiny_room" not in environments()
