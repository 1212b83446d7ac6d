"""Families of tasks in the slowest, most obvious way: plain Python, one state after the other."""

import functools

STEPS = {0: (1, 0), 1: (-1, 0), 2: (0, 1), 3: (0, -1)}


def returns_of(ways, start, horizon):
    """(best, random) expected return of an episode, and the best action of a state with so many steps left.

    ways: state -> action -> [(chance, next state, reward)].
    """

    @functools.cache
    def best(state, left):
        return max(values(state, left, best)) if left else 0.0

    @functools.cache
    def random(state, left):
        earned = values(state, left, random) if left else [0.0]
        return sum(earned) / len(earned)

    def values(state, left, after):
        return [
            sum(chance * (reward + after(there, left - 1)) for chance, there, reward in action)
            for action in ways(state)
        ]

    def choose(state, left):
        earned = values(state, left, best)
        return earned.index(max(earned))

    return best(start, horizon), random(start, horizon), choose


def room_ways(size, goal):
    """A dark room that pays for every step on its goal."""

    def ways(cell):
        return [[(1.0, walked(cell, action, size), float(walked(cell, action, size) == goal))] for action in range(5)]

    return ways


def recall_ways(size, goal):
    """The last episode of a room in which the first claim counts; a state is (x, y, claimed)."""

    def ways(state):
        cell, claimed = state[:2], state[2]
        moves = [[(1.0, (*walked(cell, action, size), claimed), 0.0)] for action in range(4)]
        return [*moves, [(1.0, (*cell, 1), float(cell == goal and not claimed))]]

    return ways


def mdp_ways(successors, rewards):
    """A random MDP, whose first way is taken four times in five."""

    def ways(state):
        pairs = zip(successors[state], rewards[state], strict=True)
        return [list(zip((0.8, 0.2), there, earned, strict=True)) for there, earned in pairs]

    return ways


def walked(cell, action, size):
    dx, dy = STEPS.get(action, (0, 0))
    x, y = cell[0] + dx, cell[1] + dy
    return (x, y) if 0 <= x < size and 0 <= y < size else cell
