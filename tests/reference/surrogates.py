"""What a KVzap surrogate learns and what its linear form is, from the definitions: loops, and one least squares."""

import torch
from torch import Tensor

__all__ = ["kvzip_scores", "ridge"]


def kvzip_scores(model: torch.nn.Module, ids: Tensor, context: range, repeated: range) -> tuple[Tensor, Tensor]:
    """Attention inputs [n, L, hidden] and KVzip+ scores [n, L, G] of a Llama: over rows, heads and positions."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    with torch.no_grad():
        output = model(ids[None], output_attentions=True, output_hidden_states=True)
    model.set_attn_implementation(before)
    config = model.config
    heads, groups, size = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    scores = torch.zeros(len(context), len(model.model.layers), groups)
    inputs = torch.zeros(len(context), len(model.model.layers), config.hidden_size)
    for index, layer in enumerate(model.model.layers):
        with torch.no_grad():
            hidden = layer.input_layernorm(output.hidden_states[index])[0]
            values = layer.self_attn.v_proj(hidden).view(-1, groups, size)
        for i, at in enumerate(context):
            inputs[i, index] = hidden[at]
            for head in range(heads):
                group = head * groups // heads
                projection = layer.self_attn.o_proj.weight.detach()[:, size * head : size * (head + 1)]
                written = (projection @ values[at, group]).norm()
                for j in repeated:
                    score = output.attentions[index][0, head, j, at] * written / hidden[j].norm()
                    scores[i, index, group] = max(scores[i, index, group], score)
    return inputs, scores


def ridge(inputs: Tensor, targets: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Weights [G, hidden] and intercepts [G]: least squares over the rows and one more row per penalised weight."""
    n, hidden = inputs.shape
    rows = torch.cat([inputs.double(), torch.ones(n, 1, dtype=torch.float64)], dim=1)
    more = torch.cat([penalty**0.5 * torch.eye(hidden, dtype=torch.float64), torch.zeros(hidden, 1)], dim=1)
    wanted = torch.cat([targets.double(), torch.zeros(hidden, targets.shape[1])])
    solution = torch.linalg.lstsq(torch.cat([rows, more]), wanted, driver="gelsd").solution
    return solution[:hidden].T, solution[hidden]
