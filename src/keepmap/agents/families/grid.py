"""Square rooms without light, as worlds of cells: where moves lead, and how they are drawn."""

import functools

import numpy as np
from jaxtyping import Int, UInt8

from keepmap.agents.environments.room import MOVES

__all__ = ["CELL", "GOAL", "HERE", "cells_of", "moved", "room_picture", "successors_of"]

CELL, GOAL, HERE = (225, 225, 225), (230, 159, 0), (0, 114, 178)


def moved(cells: Int[np.ndarray, "N 2"], moves: Int[np.ndarray, " N"], size: int) -> Int[np.ndarray, "N 2"]:
    """Where moves 0 to 4 lead: right, left, up, down, nowhere; a move into a wall stays."""
    return np.clip(cells + MOVES[moves], 0, size - 1)


@functools.cache
def cells_of(size: int) -> Int[np.ndarray, "S 2"]:
    """Every cell of a room, in the order of their numbers, x * size + y."""
    numbers = np.arange(size * size)
    return np.stack([numbers // size, numbers % size], axis=1)


@functools.cache
def successors_of(size: int) -> Int[np.ndarray, "S 5"]:
    """The number of the cell to which each move leads, from each cell."""
    after = [moved(cells_of(size), np.full(size * size, move), size) for move in range(len(MOVES))]
    return np.stack([cells @ np.array([size, 1]) for cells in after], axis=1)


def room_picture(size: int, goal: Int[np.ndarray, "2"], here: Int[np.ndarray, "2"]) -> UInt8[np.ndarray, "H W 3"]:
    """A room with its goal and its agent; y grows upwards. An agent on the goal is drawn over it."""
    cells = np.full((size, size, 3), CELL, dtype=np.uint8)
    for place, colour in ((goal, GOAL), (here, HERE)):
        cells[size - 1 - int(place[1]), int(place[0])] = colour
    return cells
