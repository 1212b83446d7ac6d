"""The recipes as data: shares that add up, lengths that grow, and a description that tells recipes apart."""

import json
from dataclasses import replace

import pytest

from keepmap.kv.data.facts import WORDS
from keepmap.recipes.tiny.recipe import Recipe, miniature, tiny


@pytest.mark.parametrize("recipe", [tiny(), miniature()], ids=["tiny", "miniature"])
def test_a_recipe_can_be_followed(recipe: Recipe) -> None:
    assert len({stage.name for stage in recipe.stages}) == len(recipe.stages), "batches are drawn by the stage's name"
    for stage in recipe.stages:
        shares = stage.shares
        assert shares.copies + shares.lists + shares.prose == pytest.approx(1.0)
        assert 0 < stage.rate[1] <= stage.rate[0]
        assert stage.facts <= len(WORDS) and (stage.facts > 0) == (shares.copies < 1)
        assert (stage.prose_weight > 0) == (shares.copies < 1)
        assert stage.length + stage.stretch <= recipe.positions
    lengths = [stage.length for stage in recipe.stages]
    assert lengths == sorted(lengths)
    assert recipe.hidden % recipe.heads == 0 and recipe.heads % recipe.key_value_heads == 0


def test_the_curriculum_is_as_long_as_the_command_says() -> None:
    tokens = sum(stage.steps * stage.batch * stage.length for stage in tiny().stages)
    assert round(tokens / 1e6) == 12
    rates = [stage.rate for stage in tiny().stages]
    assert all(before[1] == after[0] for before, after in zip(rates, rates[1:], strict=False)), "the rate never jumps"


def test_a_description_is_json_and_tells_recipes_apart() -> None:
    described = tiny(3).describe()
    assert json.loads(json.dumps(described)) == described
    changed = replace(tiny(3), stages=(replace(tiny().stages[0], steps=401), *tiny().stages[1:]))
    assert described == tiny(3).describe()
    assert all(described != other.describe() for other in (tiny(4), miniature(3), changed))
