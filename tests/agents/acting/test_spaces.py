"""Which spaces hold the same whole numbers, and what is read of observations."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Text, Tuple

from keepmap.agents.acting.spaces import check_spaces, read_observations, value_counts, whole_numbers
from keepmap.agents.environments.rooms.dark_room import DarkRoom
from keepmap.agents.environments.vector import RoomVectorEnv
from keepmap.agents.transformer import DecisionShape
from keepmap.errors import InputError

SHAPE = DecisionShape(observation_sizes=(9, 4), n_actions=5)


@pytest.mark.parametrize(
    ("space", "counts"),
    [
        (Discrete(5), (5,)),
        (Discrete(5, start=0), (5,)),
        (Discrete(5, start=1), None),
        (MultiDiscrete([9, 4]), (9, 4)),
        (MultiDiscrete([9, 4], start=[0, 1]), None),
        (MultiDiscrete([[9, 4]]), None),
        (MultiBinary(3), (2, 2, 2)),
        (Box(0, 8, (2,), np.int32), (9, 9)),
        (Box(np.array([0, 0]), np.array([8, 3]), dtype=np.uint8), (9, 4)),
        (Box(1, 8, (2,), np.int32), None),
        (Box(-1, 8, (2,), np.int32), None),
        (Box(0, 8, (2,), np.float32), None),
        (Box(0, 8, (2, 1), np.int32), None),
        (Box(0, 8, (), np.int32), None),
        (Tuple([Discrete(9), Discrete(4)]), None),
        (Dict({"x": Discrete(9)}), None),
        (Text(3), None),
    ],
    ids=str,
)
def test_how_many_values_each_coordinate_has(space: "Space[object]", counts: tuple[int, ...] | None) -> None:
    assert value_counts(space) == counts


def test_other_spaces_are_one_line() -> None:
    with pytest.raises(InputError) as refused:
        check_spaces(SHAPE, RoomVectorEnv(DarkRoom(9, 6), 2))
    message = str(refused.value)
    assert message.startswith("expected `envs` to have the spaces MultiDiscrete([9, 4]) and Discrete(5)")
    assert message.endswith("got MultiDiscrete([9 9]) and Discrete(5)")


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint64, np.float32, object])
def test_observations_are_read_exactly(dtype: type) -> None:
    read = read_observations(np.array([[8, 3], [0, 0]], dtype=dtype), SHAPE)
    assert read.dtype == torch.int64 and read.tolist() == [[8, 3], [0, 0]]


@pytest.mark.parametrize("values", [[[8.5, 3]], [[np.nan, 0]], [[np.inf, 0]]])
def test_numbers_that_are_not_whole_are_refused(values: list[list[float]]) -> None:
    with pytest.raises(InputError, match="not whole numbers"):
        read_observations(np.array(values), SHAPE)


@pytest.mark.parametrize("values", [[[9, 3]], [[0, -1]], [[0, 4]], [[0, 0, 0]], [[2**40, 0]]])
def test_observations_outside_of_the_space_are_refused(values: list[list[int]]) -> None:
    with pytest.raises(InputError, match=r"outside of its space: expected 2 coordinates of \(9, 4\) values, got"):
        read_observations(np.array(values), SHAPE)


def test_one_number_each_is_a_coordinate() -> None:
    assert read_observations(np.array([1, 2]), DecisionShape(observation_sizes=(3,), n_actions=5)).tolist() == [
        [1],
        [2],
    ]


def test_whole_numbers_are_not_copied() -> None:
    values = np.arange(3)
    assert whole_numbers(values) is values
