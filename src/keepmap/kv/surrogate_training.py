"""Train a KVzap surrogate for a causal language model, on texts.

The target is the paper's: the logarithm of the KVzip+ score. The model reads a context twice; entry i of the first
reading is worth

    max over the rows j of the second reading and over the query heads of i's group of   a_ji * ||W_o v_i|| / ||h_j||

with attention a, value v, the head's slice of the output projection W_o, and the layer's attention input h. A
surrogate predicts it from h_i alone, so that it is known the moment i is read.

Reference: arXiv 2601.07891; github.com/NVIDIA/kvpress, folder kvzap.
Differs from the paper: scores are floored at `FLOOR` before the logarithm, as a sharp head's attention underflows to 0.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from keepmap.errors import ModelError
from keepmap.kv.surrogate import KVzapSurrogate, SurrogateConfig

__all__ = [
    "Repetition",
    "ScoredPositions",
    "collect_positions",
    "explained_variance",
    "repeat_context",
    "train_linear",
    "train_mlp",
]

INSTRUCTION = "\n\nRepeat the previous context exactly."
FLOOR = 1e-9
_OUTPUT_PROJECTIONS = ("o_proj", "out_proj", "dense")


@dataclass(frozen=True)
class ScoredPositions:
    """Attention inputs and their log KVzip+ scores, one row per position."""

    inputs: Float[Tensor, "M L hidden"]
    scores: Float[Tensor, "M L G"]


@dataclass(frozen=True)
class Repetition:
    """Token ids in which a context stands twice, and where."""

    ids: Int64[Tensor, "N"]
    context: slice
    repeated: slice


def repeat_context(tokenizer: Any, text: str, max_tokens: int | None = None) -> Repetition:
    """The text, the instruction to repeat it, the text again; by the tokenizer's chat template if it has one.

    The pieces are tokenised one by one, so both readings have the same tokens.
    """
    before, between = "", INSTRUCTION + "\n\n"
    if getattr(tokenizer, "chat_template", None):
        mark = "<<keepmap context>>"
        turns = [{"role": "user", "content": mark + INSTRUCTION}, {"role": "assistant", "content": mark}]
        before, between, _ = tokenizer.apply_chat_template(turns, tokenize=False).split(mark)

    def encode(piece: str) -> list[int]:
        return list(tokenizer(piece, add_special_tokens=False)["input_ids"])

    # Without a template, the tokens that the tokenizer puts before every text; a template brings its own.
    prefix = encode(before) if before else list(tokenizer("")["input_ids"])
    context, instruction = encode(text.strip())[:max_tokens], encode(between)
    first = len(prefix)
    second = first + len(context) + len(instruction)
    return Repetition(
        torch.tensor(prefix + context + instruction + context),
        slice(first, first + len(context)),
        slice(second, second + len(context)),
    )


def collect_positions(
    model: Any,
    tokenizer: Any,
    texts: Sequence[str],
    *,
    max_tokens: int = 1250,
    positions_per_text: int = 500,
    seed: int = 0,
) -> ScoredPositions:
    """Attention inputs and targets at random positions of each text, of which `max_tokens` are read.

    The model is run with eager attention, and is left as found.

    Raises:
        ModelError: the model's attention layers are not of a kind this can read.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs, scores = [], []
    for text in texts:
        repetition = repeat_context(tokenizer, text, max_tokens)
        hidden, target = _targets(model, repetition)
        chosen = torch.randperm(len(hidden), generator=generator)[:positions_per_text]
        inputs.append(hidden[chosen])
        scores.append(target[chosen])
    return ScoredPositions(torch.cat(inputs), torch.cat(scores))


def train_linear(positions: ScoredPositions, *, penalty: float = 1.0) -> KVzapSurrogate:
    """The linear surrogate by ridge regression, in closed form and double precision; the intercept is not penalised."""
    n_layers, hidden = positions.inputs.shape[1:]
    surrogate = KVzapSurrogate(SurrogateConfig(hidden, positions.scores.shape[2], n_layers))
    for layer in range(n_layers):
        linear: Any = surrogate.layers[layer]
        x, y = positions.inputs[:, layer].double(), positions.scores[:, layer].double()
        x_mean, y_mean = x.mean(dim=0), y.mean(dim=0)
        x, y = x - x_mean, y - y_mean
        weight = torch.linalg.solve(x.T @ x + penalty * torch.eye(hidden, dtype=x.dtype), x.T @ y).T
        with torch.no_grad():
            linear.weight.copy_(weight)
            linear.bias.copy_(y_mean - weight @ x_mean)
    return surrogate.eval().requires_grad_(False)


def train_mlp(
    positions: ScoredPositions,
    *,
    hidden_dim: int = 512,
    epochs: int = 15,
    rate: float = 5e-3,
    batch: int = 512,
    seed: int = 0,
) -> KVzapSurrogate:
    """The MLP surrogate by AdamW on the mean squared error, with the paper's settings unless told otherwise."""
    n, n_layers, hidden = positions.inputs.shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        surrogate = KVzapSurrogate(SurrogateConfig(hidden, positions.scores.shape[2], n_layers, hidden_dim))
    with torch.no_grad():  # the mean score is known; learning it would take the first epochs
        for layer in range(n_layers):
            network: Any = surrogate.layers[layer]
            network[-1].bias.copy_(positions.scores[:, layer].mean(dim=0))
    optimizer = torch.optim.AdamW(surrogate.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for rows in torch.randperm(n, generator=generator).split(batch):
            loss = nn.functional.mse_loss(surrogate(positions.inputs[rows].float()), positions.scores[rows].float())
            loss.backward()
            nn.utils.clip_grad_norm_(surrogate.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        schedule.step()
    return surrogate.eval().requires_grad_(False)


@torch.inference_mode()
def explained_variance(surrogate: KVzapSurrogate, positions: ScoredPositions) -> Float[Tensor, "L G"]:
    """The share of the scores' variance that the surrogate explains (R squared); 1 is perfect."""
    error = (positions.scores - surrogate(positions.inputs.float())).square().mean(dim=0)
    return 1.0 - error / positions.scores.var(dim=0, correction=0)


@torch.inference_mode()
def _targets(model: Any, repetition: Repetition) -> tuple[Float[Tensor, "n L hidden"], Float[Tensor, "n L G"]]:
    """Attention inputs and log KVzip+ scores of the n positions of the context."""
    layers = _attention_layers(model)
    inputs: dict[int, Tensor] = {}
    received: dict[int, Tensor] = {}

    def read(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        hidden = (kwargs["hidden_states"] if "hidden_states" in kwargs else args[0])[0].float()
        if len(output) < 2 or output[1] is None:
            raise ModelError(f"{type(model).__name__} is not supported: it gives no attention weights to train on")
        weights = output[1][0, :, repetition.repeated, repetition.context].float()  # [H, repeated, n]
        received[layer.layer_idx] = (weights / hidden[repetition.repeated].norm(dim=-1)[None, :, None]).amax(dim=1)
        inputs[layer.layer_idx] = hidden[repetition.context]

    with _eager(model):
        handles = [layer.register_forward_hook(read, with_kwargs=True) for layer, _ in layers]
        try:
            cache = model(repetition.ids[None].to(model.device), use_cache=True).past_key_values
        finally:
            for handle in handles:
                handle.remove()
    scores = []
    for index, (_, projection) in enumerate(layers):
        values = cache.layers[index].values[0, :, repetition.context].float()  # [G, n, D]
        groups, n, size = values.shape
        heads = received[index].shape[0]
        output = projection.weight.float().reshape(-1, heads, size)  # [hidden, H, D]
        written = torch.stack(
            [(values[head * groups // heads] @ output[:, head].T).norm(dim=-1) for head in range(heads)]
        )  # [H, n]
        best = (received[index] * written).reshape(groups, heads // groups, n).amax(dim=1)
        scores.append(best.clamp_min(FLOOR).log().T)
    stacked = torch.stack([inputs[index] for index in range(len(layers))], dim=1)
    return stacked.cpu(), torch.stack(scores, dim=1).cpu()


def _attention_layers(model: Any) -> list[tuple[Any, nn.Linear]]:
    """The attention modules in the order of their layers, each with its output projection."""
    by_index: dict[int, tuple[Any, nn.Linear]] = {}
    for module in model.modules():
        for name in _OUTPUT_PROJECTIONS:
            projection = getattr(module, name, None)
            if isinstance(getattr(module, "layer_idx", None), int) and isinstance(projection, nn.Linear):
                by_index[module.layer_idx] = (module, projection)
    if sorted(by_index) != list(range(model.config.num_hidden_layers)):
        raise ModelError(
            f"no surrogate for {type(model).__name__}: of its {model.config.num_hidden_layers} layers, {len(by_index)} "
            f"have an attention module with a linear output projection named {', '.join(_OUTPUT_PROJECTIONS)}"
        )
    return [by_index[index] for index in sorted(by_index)]


@contextmanager
def _eager(model: Any) -> Iterator[None]:
    """The model with eager attention, which gives its weights; the former one comes back at the end."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)
