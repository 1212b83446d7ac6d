"""A language model as insight sees it: shares row by row, and suggestions that are code and keep what they say."""

import ast

import pytest
import torch

import keepmap
from keepmap.attention.profile import AttentionProfile
from keepmap.errors import InputError
from keepmap.insight.subjects import subject_of
from keepmap.insight.text_subject import TextSubject
from keepmap.language_model import LanguageModel, load_language_model
from tests.families import build, tokens


def test_shares_are_what_adding_up_row_by_row_gives(profile: AttentionProfile) -> None:
    numbers = subject_of(profile).shares(profile, 1, [0, 3])
    n, beside = profile.shape[2], 1 - profile.sink_mass[1, [0, 3]].double().mean(0)
    positions, ages = torch.zeros(n - 4).double(), torch.zeros(n - 4).double()
    for query in range(4, n):
        for position in range(4, query + 1):
            even = float(beside[query]) / (query - 3) / n
            positions[position - 4] += even
            ages[query - position] += even
    torch.testing.assert_close(numbers.even_positions, positions)
    torch.testing.assert_close(numbers.even_ages, ages)
    torch.testing.assert_close(numbers.positions, profile.shares[1, [0, 3], 4:].double().mean(0))
    for part in (numbers.positions, numbers.ages, numbers.even_positions, numbers.even_ages):
        assert float(part.sum()) + numbers.given == pytest.approx(1)
    assert numbers.even_given == pytest.approx(sum(min(1, 4 / (query + 1)) for query in range(n)) / n)
    assert subject_of(profile).shares(profile, 1, [0], n - 1).even_given == pytest.approx(4 / n)
    with pytest.raises(InputError, match="n_sink=2, got one with 4"):
        TextSubject(2).shares(profile, 0, [0])


@pytest.mark.parametrize("pattern", ["recency", "sinks", "uniform", "sparse", "mixed"])
@pytest.mark.parametrize("keep", [1, 12, 39])
def test_a_language_models_suggestion_is_code_that_keeps_so_many(
    language_model: LanguageModel, pattern: str, keep: int
) -> None:
    suggestion = TextSubject(4).suggestion(pattern, keep, 56)
    call = ast.parse(suggestion.line, mode="eval").body
    assert isinstance(call, ast.Call) and ast.unparse(call.func) == "keepmap.evict"
    assert ast.literal_eval(call.args[2]) == suggestion.name
    options = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    assert options == suggestion.options
    kept = keepmap.evict(language_model, tokens(60), suggestion.name, **options).keep_map.kept()
    assert suggestion.options["window"] == (keep + 1) // 2
    # A density is typed in hundredths.
    assert (kept.sum(2) - 4 >= keep).all() and (kept.sum(2) - 4 <= keep + 1).all()


def test_only_what_a_layers_own_window_shows_is_chosen_from() -> None:
    profile = keepmap.profile_attention(load_language_model(build("mistral")), tokens(60))
    shares = subject_of(profile).shares(profile, 0, [0])
    assert (len(shares.positions), shares.given, shares.even_given, shares.first) == (24, 0.0, 0.0, 36)
    assert float(shares.ages.sum()) == pytest.approx(float(shares.positions.sum()))
