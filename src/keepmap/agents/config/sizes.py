"""How much memory a configuration asks for, from its numbers alone: nothing is built to know it."""

from typing import TYPE_CHECKING

from keepmap.core.outside.memory import LAYER, require_memory

if TYPE_CHECKING:
    from keepmap.agents.config.schema import Config

__all__ = ["TRANSITION", "check_memory", "check_training_memory", "model_bytes", "n_weights"]

TRANSITION = 54
"""Bytes of a transition in an agent's window: two states of two numbers, action, time, reward, and two truths."""


def check_memory(config: "Config") -> None:
    """Whether the model and one context go into this machine's memory.

    Raises:
        InputError: they do not.
    """
    require_memory(
        model_bytes(config),
        f"a model of {n_weights(config):,} weights in {config.tf_n_layer:,} layers",
        "lower tf_n_layer, tf_n_embd or tf_n_inner",
    )
    require_memory(TRANSITION * config.n_transit, f"a context of {config.n_transit:,} transitions", "lower n_transit")


def check_training_memory(config: "Config") -> None:
    """Whether a training goes into this machine's memory: four copies of the weights, and the transitions of a batch.

    Raises:
        InputError: it does not.
    """
    batch = max(config.train_batch_size, config.test_batch_size)
    require_memory(
        model_bytes(config, copies=4) + TRANSITION * batch * config.n_transit,
        f"training {n_weights(config):,} weights with batches of {batch:,} histories",
        "lower tf_n_layer, tf_n_embd, tf_n_inner, train_batch_size or test_batch_size",
    )


def model_bytes(config: "Config", copies: int = 1) -> int:
    """What the model's weights and layers take.

    Args:
        copies: of the weights; training has four: them, their gradients and two moments.
    """
    return 4 * copies * n_weights(config) + LAYER * config.tf_n_layer


def n_weights(config: "Config") -> int:
    """The numbers that the model learns."""
    d, inner, actions = config.tf_n_embd, config.tf_n_inner, config.room().n_actions
    embedded = d * (3 * sum(config.room().observation_sizes) + actions + 1 + 2 * config.tf_dones)
    layer = 4 * d * d + 2 * d * inner + inner + 9 * d  # and two norms
    return embedded + config.tf_n_layer * layer + 2 * d + (d + 1) * actions
