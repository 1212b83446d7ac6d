"""The value: what follows from it, saving and loading, the guide's statistics, what it says of itself."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from keepmap.attention.layer import AttentionLayer, causal
from keepmap.attention.profile import AttentionProfile
from keepmap.attention.profiling import profile_attention
from keepmap.core.keep_map import KeepMap
from keepmap.errors import InputError, ModelError, OutputError
from tests.drawing.profiles import Chosen

ABOUT = '{"layers": [0], "heads": [0], "kv_heads": [0], "n_sink": 4, "window": 9, "info": {}, "labels": null}'


@dataclasses.dataclass
class Source:
    """What an agent is to a profile: layers with these queries and keys."""

    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    n: int = 30
    dtype: torch.dtype = torch.float64
    name: str = "source"

    def attention_layers(self, inputs):
        generator = torch.Generator().manual_seed(int(inputs))
        for layer in range(self.layers):
            queries, keys = (
                torch.randn(heads, self.n, 8, generator=generator, dtype=torch.float64).to(self.dtype)
                for heads in (self.heads, self.kv_heads)
            )
            yield AttentionLayer(
                layer=layer,
                queries=3 * queries,
                keys=keys,
                scaling=0.5,
                sees_from=causal(self.n)[0],
                sees_until=causal(self.n)[1],
            )


def seed_figures(rows):
    """The five figures, from the rows [H, N] of the last query, in the guide's own words."""
    context = np.asarray(rows, dtype=np.float64).mean(axis=0)[:-1]
    quarter = max(1, len(context) // 4)
    return {
        "mean": context.mean(),
        "std": context.std(),
        "max_position": context.argmax(),
        "recent_distant_ratio": context[len(context) - quarter :].mean() / (context[:quarter].mean() + 1e-10),
        "entropy": -(context * np.log(context + 1e-10)).sum(),
    }


@given(st.integers(3, 40), st.integers(0, 99))
def test_the_guides_statistics(n, seed):
    profile = profile_attention(Source(n=n), seed)
    for layer in range(2):
        result = profile.guide_statistics(layer)
        assert list(result) == ["mean", "std", "max_position", "recent_distant_ratio", "entropy"]
        assert result == pytest.approx(seed_figures(profile.rows[layer, :, 0]), rel=1e-12)
        assert profile.seed_statistics(layer) == result


def test_the_guides_statistics_of_a_context_of_one():
    assert math.isnan(profile_attention(Source(n=2), 0).guide_statistics(0)["recent_distant_ratio"])


def test_the_guides_statistics_need_all_heads_and_the_last_row():
    with pytest.raises(InputError, match="query 29, whose row is not here"):
        profile_attention(Source(), 0, queries=[3]).guide_statistics(0)
    with pytest.raises(InputError, match="over all heads, 1 were profiled"):
        profile_attention(Source(), 0, heads=2).guide_statistics(0)
    with pytest.raises(InputError, match="expected `layer` to be one that was profiled, 0, 1, got 2"):
        profile_attention(Source(), 0).guide_statistics(2)


def test_uniform_attention_is_uniform():
    class Uniform(Source):
        def attention_layers(self, inputs):
            zeros = torch.zeros(1, 50, 4, dtype=torch.float64)
            yield AttentionLayer(
                layer=0, queries=zeros, keys=zeros, scaling=1.0, sees_from=causal(50)[0], sees_until=causal(50)[1]
            )

    profile = profile_attention(Uniform(), 0)
    count = torch.arange(1, 51).double()
    torch.testing.assert_close(profile.effective_positions[0, 0], count)
    torch.testing.assert_close(profile.normalised_entropy[0, 0, 1:], torch.ones(49).double())
    assert bool(profile.normalised_entropy[0, 0, 0].isnan())
    torch.testing.assert_close(profile.recent_distant[0, 0, 1:], torch.ones(49).double())
    assert profile.std[0, 0].max() < 1e-8
    # Divided by the queries that could see it: position 0 gets the mean of 1 / (i + 1), the last position 1 / N.
    torch.testing.assert_close(profile.received[0, 0, 0], (1 / count).mean())
    torch.testing.assert_close(profile.received[0, 0, -1], torch.tensor(1 / 50).double())


def test_saved_and_loaded_it_is_the_same_but_for_what_was_captured(tmp_path):
    profile = dataclasses.replace(profile_attention(Source(), 0, queries=5), labels=tuple("<&é" * 10))
    path = tmp_path / "profile.safetensors"
    profile.save(path)
    loaded = AttentionProfile.load(path)
    for field in dataclasses.fields(profile):
        mine, theirs = getattr(profile, field.name), getattr(loaded, field.name)
        if isinstance(mine, torch.Tensor):
            torch.testing.assert_close(mine, theirs, rtol=0, atol=0, equal_nan=True)
        elif field.name != "captured":
            assert mine == theirs
    assert repr(loaded) == repr(profile)
    assert loaded.captured is None
    for ask in (lambda: loaded.map(0, 0), lambda: loaded.mass([0])):
        with pytest.raises(InputError, match="profile the model again, with `hold`$"):
            ask()
    again = tmp_path / "again.safetensors"
    loaded.save(again)
    assert path.read_bytes() == again.read_bytes()


def test_nothing_is_half_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write into the folder .*file"):
        profile_attention(Source(), 0).save(tmp_path / "file" / "profile.safetensors")
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_folder_that_is_not_there_is_made(tmp_path):
    path = tmp_path / "a" / "b" / "profile.safetensors"
    profile_attention(Source(), 0).save(path)
    assert list(path.parent.iterdir()) == [path]


def test_files_that_are_no_profiles_are_one_line(tmp_path):
    profile = profile_attention(Source(), 0)
    damaged = tmp_path / "damaged"
    profile.save(damaged)
    damaged.write_bytes(damaged.read_bytes()[:-9])
    (tmp_path / "text").write_text("hello")
    KeepMap(torch.ones(1, 1, 1).long(), torch.zeros(1, 1, 1)).save(tmp_path / "map")
    save_file({"rows": torch.ones(1)}, tmp_path / "partial", {"format": "keepmap-attention/1", "about": ABOUT})
    for name in ("damaged", "text", "map", "missing", "partial"):
        with pytest.raises(InputError, match="profile|AttentionProfile") as raised:
            AttentionProfile.load(tmp_path / name)
        assert "\n" not in str(raised.value)


def test_queries_and_keys_are_not_held_against_ones_will():
    profile = profile_attention(Source(), 0, hold=False)
    assert profile.captured is None
    with pytest.raises(InputError, match="mass needs the queries and keys"):
        profile.mass([1])


def test_it_says_what_it_is():
    text = repr(profile_attention(Source(), 0, queries=5, seed=3))
    assert "source: 2 layers x 4 heads x 30 positions" in text
    assert "5 of 30 queries, sampled with seed 3" in text
    assert "nats" in text and "\n" not in text
    alone = repr(profile_attention(Source(), 0, layers=0, heads=0))
    assert "source: 1 layer x 1 head x 30 positions" in alone


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ([30], r"expected `where` to be positions in 0\.\.29, got 30\.\.30"),
        ([-1], r"0\.\.29"),
        ([0.5], "expected `where` to be positions, integers or a mask of 30"),
        (torch.ones(7).bool(), "mask"),
    ],
    ids=str,
)
def test_positions_that_are_not_there_are_one_line(where, message):
    with pytest.raises(InputError, match=message):
        profile_attention(Source(), 0).mass(where)


def test_masses_of_nothing_of_a_mask_and_of_everything():
    profile = profile_attention(Source(), 0)
    assert profile.mass([]).abs().max() == 0
    torch.testing.assert_close(profile.mass(range(30)), torch.ones(2, 4, 30).double())
    torch.testing.assert_close(profile.mass(torch.arange(30) < 4), profile.sink_mass)


def test_maps_that_are_not_there_are_one_line():
    profile = profile_attention(Source(), 0, layers=1)
    for ask in (lambda: profile.map(0, 0), lambda: profile.map(1, 4), lambda: profile.map(1, 0, size=0)):
        with pytest.raises(InputError, match="expected `(layer|head|size)` to be"):
            ask()


def test_progress_over_all_layers():
    shares = []
    profile_attention(Source(layers=3), 0, progress=shares.append)
    assert shares == sorted(shares) and shares[-1] == 1.0 and len(shares) >= 3


def test_a_source_whose_layers_differ_or_are_none_is_refused():
    class Ragged(Source):
        def attention_layers(self, inputs):
            yield from Source(n=20).attention_layers(0)
            yield from Source(n=21).attention_layers(0)

    with pytest.raises(ModelError, match="layers differ"):
        profile_attention(Ragged(), 0)
    with pytest.raises(ModelError, match="nothing was captured"):
        profile_attention(Source(layers=0), 0)
    with pytest.raises(
        InputError, match="expected `model` to be a language model, an agent or an nn.Module, got an int"
    ):
        profile_attention(3, 0)


def test_one_logit_too_many_is_no_other_cell() -> None:
    logits = torch.zeros(21, 21)
    logits[20, 9] = 9.0
    result = profile_attention(Chosen(logits), None).map(0, 0, 4)
    assert np.unravel_index(result.maximum.argmax(), (4, 4))[1] in (0, 1)
    assert result.maximum[3, 1] == pytest.approx(1.0, abs=0.01)
