"""Values behind the output projection, as the families' own layers have it."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from keepmap.errors import ModelError
from keepmap.kv.cache.cache import EvictingCache
from keepmap.kv.method import HeldInput
from keepmap.kv.passes import LayerCall, run
from keepmap.kv.scoring.projection import output_norms, over_heads, projection_of
from keepmap.language_model import load_language_model
from tests.families import FAMILIES, build, tokens


@pytest.mark.parametrize("family", FAMILIES)
def test_it_takes_the_heads_outputs_to_the_layers(family: str) -> None:
    language_model = load_language_model(build(family))
    given: dict[int, Tensor] = {}
    seen: dict[int, list[Tensor]] = {0: [], 1: []}

    def attend(call: LayerCall) -> Tensor:
        shape = call.queries.shape[0], call.queries.shape[1], call.values.shape[2]
        draws = torch.randn(shape, generator=torch.Generator().manual_seed(call.layer), dtype=call.values.dtype)
        # The last position gets nothing: its output is the projection's bias, if there is one.
        draws[:, -1] = 0.0
        given[call.layer] = draws
        if call.layer in seen:
            call.module.register_forward_hook(lambda module, args, output: seen[module.layer_idx].append(output[0]))
        return draws

    run(language_model.model, language_model.body, tokens(5), attend)
    for layer, outputs in seen.items():
        projection = projection_of(language_model.model, layer)
        expected = given[layer].transpose(0, 1).flatten(1) @ projection
        torch.testing.assert_close(outputs[0][0] - outputs[0][0, -1:], expected)


def test_norms_are_sums_of_absolute_values_over_the_group() -> None:
    values = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
    projection = torch.tensor([[1.0, -1.0], [0.0, 3.0], [2.0, 2.0], [0.0, 0.0]])  # two heads of two dimensions
    torch.testing.assert_close(output_norms(values, projection), torch.tensor([[3.0, 3.0]]))
    assert output_norms(values.bfloat16(), projection.bfloat16()).dtype == torch.float32


def test_over_heads_looks_at_those_that_hold_the_position() -> None:
    held = HeldInput(
        layer=0,
        step=2,
        positions=torch.tensor([[0, 2], [2, -1]]),
        keys=torch.zeros(2, 2, 1),
        values=torch.zeros(2, 2, 1),
        queries=torch.zeros(2, 0, 1),
        sees_from=torch.zeros(0, dtype=torch.int64),
        scaling=1.0,
    )
    ratios = over_heads(torch.tensor([[5.0, 1.0], [3.0, 9.0]]), held)
    torch.testing.assert_close(ratios[:, 0], torch.tensor([1.0, 1.5]))
    assert float(ratios[0, 1]) == 0.5


def test_a_layer_without_one_is_named() -> None:
    with pytest.raises(ModelError, match="Linear is not supported .* layer 3 has none of o_proj"):
        projection_of(nn.Linear(2, 2), 3)


def test_a_cache_that_looks_at_them_goes_on_from_a_file(tmp_path: Path) -> None:
    language_model = load_language_model(build("llama"))
    cache = EvictingCache(language_model, "criticalkv", density=0.3, window=4)
    cache.read(tokens(30))
    cache.save(tmp_path / "cache.safetensors")
    loaded = EvictingCache.load(tmp_path / "cache.safetensors", language_model)
    assert loaded.keep_map() == cache.keep_map()
