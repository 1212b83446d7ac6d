"""What a KVzap surrogate learns: the attention inputs of a text's positions, and the log KVzip+ score of each.

The target is the paper's. The model reads a context twice; entry i of the first reading is worth

    max over the rows j of the second reading and over the query heads of i's group of   a_ji * ||W_o v_i|| / ||h_j||

with attention a, value v, the head's slice of the output projection W_o, and the layer's attention input h. A
surrogate predicts it from h_i alone, so that it is known the moment i is read.

Reference: arXiv 2601.07891; github.com/NVIDIA/kvpress, folder kvzap.
Differs from the paper: scores are floored at `FLOOR` before the logarithm, as a sharp head's attention underflows to 0.

n positions of a context · L layers · G KV heads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from keepmap.attention import strongest_attention
from keepmap.errors import ImpossibleResultError, InputError, ModelError

__all__ = ["FLOOR", "Repetition", "ScoredPositions", "repeat_context", "require_targets", "score_positions"]

INSTRUCTION = "\n\nRepeat the previous context exactly."
FLOOR = 1e-9
_OUTPUT_PROJECTIONS = ("o_proj", "out_proj", "dense")


@dataclass(frozen=True)
class ScoredPositions:
    """Attention inputs and their log KVzip+ scores, one row per position."""

    inputs: Float[Tensor, "n L hidden"]
    scores: Float[Tensor, "n L G"]


@dataclass(frozen=True)
class Repetition:
    """Token ids in which a context stands twice, and where."""

    ids: Int64[Tensor, "N"]
    context: range
    repeated: range


def repeat_context(tokenizer: Any, text: str | Sequence[int], max_tokens: int | None = None) -> Repetition:
    """The text, the instruction to repeat it, the text again; by the tokenizer's chat template if it has one.

    The pieces are tokenised one by one, so both readings have the same tokens.
    """
    before, between = "", INSTRUCTION + "\n\n"
    if getattr(tokenizer, "chat_template", None):
        mark = "<<keepmap context>>"
        turns = [{"role": "user", "content": mark + INSTRUCTION}, {"role": "assistant", "content": mark}]
        before, between, _ = tokenizer.apply_chat_template(turns, tokenize=False).split(mark)

    def encode(piece: str) -> list[int]:
        # `verbose` would warn about texts that are cut here.
        return list(tokenizer(piece, add_special_tokens=False, verbose=False)["input_ids"])

    # Without a template, the tokens that the tokenizer puts before every text; a template brings its own.
    prefix = encode(before) if before else list(tokenizer("", verbose=False)["input_ids"])
    context = (encode(text.strip()) if isinstance(text, str) else list(text))[:max_tokens]
    instruction = encode(between)
    first = len(prefix)
    second = first + len(context) + len(instruction)
    return Repetition(
        torch.tensor(prefix + context + instruction + context, dtype=torch.int64),
        range(first, first + len(context)),
        range(second, second + len(context)),
    )


def require_targets(model: Any, max_positions: int | None, longest: Repetition) -> None:
    """Refuse what cannot be scored, before hours of work.

    Raises:
        ModelError: a layer has no output projection that can be read.
        InputError: a text stands twice in more tokens than the model takes.
    """
    _output_projections(model)
    over = len(longest.ids) - len(longest.context) * 2
    if max_positions is not None and len(longest.ids) > max_positions:
        raise InputError(
            f"a text of {len(longest.context):,} tokens is read twice, in {len(longest.ids):,} positions, and the "
            f"model has {max_positions:,}; max_length={max(1, (max_positions - over) // 2)} fits"
        )


@torch.inference_mode()
def score_positions(language_model: Any, repetition: Repetition) -> ScoredPositions:
    """The n positions of the context, on the model's device, in float32 (or the model's float64).

    Args:
        language_model: a LanguageModel.

    Raises:
        ModelError: the model's attention or its output projections cannot be read.
        ImpossibleResultError: a score that is not finite.
    """
    ids = repetition.ids.to(language_model.device)
    layers = strongest_attention(language_model, ids, repetition.repeated, repetition.context)
    scores = []
    for layer, projection in zip(layers, _output_projections(language_model.model), strict=True):
        dtype = layer.weight.dtype
        heads, groups = len(layer.weight), len(layer.values)
        output = projection.weight.to(dtype).reshape(projection.out_features, heads, -1)  # [hidden, H, Dv]
        written = torch.stack(
            [(layer.values[head * groups // heads].to(dtype) @ output[:, head].T).norm(dim=-1) for head in range(heads)]
        )  # [H, n]
        best = (layer.weight * written).reshape(groups, heads // groups, -1).amax(dim=1)
        scores.append(best.clamp_min(FLOOR).log().T)
    inputs = torch.stack([layer.hidden_states.to(layer.weight.dtype) for layer in layers], dim=1)
    targets = torch.stack(scores, dim=1)
    if not bool(torch.isfinite(targets).all() and torch.isfinite(inputs).all()):
        raise ImpossibleResultError(
            f"{language_model.name} gives attention inputs or scores that are not finite: its weights are damaged, or "
            "its numbers overflow (another `dtype`, as dtype=float32, may help)"
        )
    return ScoredPositions(inputs, targets)


def _output_projections(model: Any) -> list[nn.Linear]:
    """The output projection of each layer's attention, in the order of the layers."""
    by_index: dict[int, nn.Linear] = {}
    for module in model.modules():
        for name in _OUTPUT_PROJECTIONS:
            projection = getattr(module, name, None)
            if isinstance(getattr(module, "layer_idx", None), int) and isinstance(projection, nn.Linear):
                by_index[module.layer_idx] = projection
    n_layers = model.config.get_text_config().num_hidden_layers
    if sorted(by_index) != list(range(n_layers)):
        raise ModelError(
            f"no surrogate for {type(model).__name__}: of its {n_layers} layers, {len(by_index)} have an attention "
            f"module with a linear output projection named {', '.join(_OUTPUT_PROJECTIONS)}"
        )
    return [by_index[index] for index in sorted(by_index)]
