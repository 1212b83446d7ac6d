"""Mode "once", token by token: a dense prefill, one cut after the context, and decoding without another one.

As in `decode`, the whole cache is kept, and what has been evicted is masked, per layer and KV head.
"""

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from tests.reference.budgets import gone, gone_by_model
from tests.reference.decode import Decoded, recording, seen_by
from tests.reference.rules import Rule
from tests.reference.scores import Score

__all__ = ["decode_once"]


@torch.no_grad()
def decode_once(model: PreTrainedModel, input_ids: Tensor, score: Score, rule: Rule, context_length: int) -> Decoded:
    """Decode input_ids [N] one by one, and evict by the rule after the last token of the context, never again."""
    n = len(input_ids)
    cache = DynamicCache()
    logits = []
    with recording(model, n) as recorder:
        for step in range(n):
            token = {"input_ids": input_ids[None, step : step + 1], "position_ids": torch.tensor([[step]])}
            logits.append(model(**token, past_key_values=cache, use_cache=True).logits[0])
            if step != context_length - 1:
                continue
            shape = (len(recorder.layers), recorder.layers[0].alive.shape[0], n)
            expires = torch.full(shape, n)
            scores = torch.zeros(shape, dtype=torch.float64)
            for index, layer in recorder.layers.items():
                seen = seen_by(model, index, layer, step, rule.n_sink)
                for head in range(shape[1]):
                    for j in range(context_length):
                        scores[index, head, j] = score(seen, head, j)
                if rule.by == "model":
                    continue
                for head, j in gone(scores[index], layer.alive, rule, 0, context_length, index, shape[0]):
                    layer.alive[head, j] = False
                    expires[index, head, j] = context_length
            if rule.by == "model":
                for index, head, j in gone_by_model(scores, rule, context_length):
                    recorder.layers[index].alive[head, j] = False
                    expires[index, head, j] = context_length
    held = torch.stack([recorder.layers[index].alive for index in range(shape[0])])
    attention = torch.stack([recorder.layers[index].attention for index in range(shape[0])])
    return Decoded(torch.cat(logits), expires, held, scores, attention)
