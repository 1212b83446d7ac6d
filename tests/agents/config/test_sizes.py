"""What a configuration needs is known from its numbers, and compared with memory before anything is built."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepmap.agents.acting.memory import Window
from keepmap.agents.config import Config
from keepmap.agents.config.sizes import TRANSITION, check_training_memory, model_bytes, n_weights
from keepmap.agents.transformer import DecisionTransformer
from keepmap.cli import main
from keepmap.errors import InputError


@settings(max_examples=25)
@given(
    heads=st.integers(1, 3),
    pairs=st.integers(1, 3),
    inner=st.integers(1, 9),
    layers=st.integers(1, 3),
    size=st.integers(2, 9),
    dones=st.booleans(),
)
def test_weights_are_counted_as_the_model_has_them(
    heads: int, pairs: int, inner: int, layers: int, size: int, dones: bool
) -> None:
    config = Config(
        tf_n_head=heads,
        tf_n_embd=2 * heads * pairs,
        tf_n_inner=inner,
        tf_n_layer=layers,
        grid_size=size,
        tf_dones=dones,
    )
    assert n_weights(config) == sum(part.numel() for part in DecisionTransformer(config.shape()).parameters())
    assert model_bytes(config, 4) - model_bytes(config) == 12 * n_weights(config)


def test_a_window_takes_what_a_transition_is_said_to_take() -> None:
    window = Window(1, 2, 1000, 1)
    # The one place that knows: a window of one agent and a thousand transitions.
    held = sum(array.nbytes for array in vars(window).values() if hasattr(array, "nbytes"))
    assert abs(held - 1000 * TRANSITION) <= 8


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "tf_n_layer",
            10**9,
            r"weights in 1,000,000,000 layers would take \d+ TiB of memory, and there is ",
        ),
        ("tf_n_embd", 10**6, r"would take .* of memory.*; lower tf_n_layer, tf_n_embd or tf_n_inner"),
        ("tf_n_embd", 2**62, "would take more than 1,000 PiB"),
        ("tf_n_inner", 10**12, "would take .* of memory"),
        ("n_transit", 10**12, r"a context of 1,000,000,000,000 transitions would take .* of memory.*; lower n_transit"),
    ],
)
def test_what_is_too_large_is_one_line(key: str, value: int, message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        Config(**{key: value})
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("key", ["train_batch_size", "test_batch_size"])
def test_a_training_needs_more_than_an_agent(key: str) -> None:
    check_training_memory(Config())
    with pytest.raises(InputError, match="with batches of 1,000,000,000,000 histories would take .* of memory"):
        check_training_memory(Config(**{key: 10**12}))


def test_a_batch_has_windows_of_the_whole_context() -> None:
    check_training_memory(Config(train_batch_size=10**6, n_transit=20))
    with pytest.raises(InputError, match="with batches of 1,000,000 histories would take 4.91 TiB of memory"):
        check_training_memory(Config(train_batch_size=10**6, n_transit=10**5))


def test_a_training_that_is_too_large_is_one_line_before_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--set", "tf_n_layer=1000000000"]) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1) and "1,000,000,000 layers" in err
    assert list(tmp_path.iterdir()) == []
