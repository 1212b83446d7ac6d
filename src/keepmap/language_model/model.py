"""A causal language model, with the sizes of it that everything else asks for."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.core.html import card
from keepmap.core.labels import model_label

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["LanguageModel"]


@dataclass(frozen=True, eq=False, kw_only=True)
class LanguageModel:
    """A causal language model, and the sizes of it that everything else asks for.

    Attributes:
        model: the Hugging Face model. tokenizer: its tokenizer, None if it was given without one.
        name: what it was loaded as.
        n_layers, n_heads, n_kv_heads, vocab_size: its sizes.
        max_positions: the longest text it takes, None if its config does not say.

    >>> import keepmap
    >>> language_model = keepmap.load_language_model("tiny")
    >>> language_model.n_layers, language_model.n_kv_heads, language_model.tokenizer is None
    (2, 4, False)
    """

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase | None"
    name: str
    n_layers: int
    n_heads: int
    n_kv_heads: int
    vocab_size: int
    max_positions: int | None

    @property
    def body(self) -> torch.nn.Module:
        """The model without its head."""
        return self.model.base_model

    @property
    def device(self) -> torch.device:
        """Where its weights are; where it computes, if accelerate brings them there when they are needed."""
        if self.model.device.type != "meta":
            return self.model.device
        hooks = (getattr(module, "_hf_hook", None) for module in self.model.modules())
        places = (getattr(hook, "execution_device", None) for hook in hooks)
        return torch.device(next((place for place in places if place is not None), self.model.device))

    @property
    def dtype(self) -> torch.dtype:
        """The number format of its weights."""
        return self.model.dtype

    @torch.no_grad()
    def head(self, hidden_states: Float[Tensor, "N hidden"]) -> Float[Tensor, "N vocab"]:
        """Logits of (a block of) last hidden states; checked once against the model's own before any result."""
        config = self.model.config.get_text_config()
        logits = self.model.get_output_embeddings()(hidden_states)
        logits = logits * (getattr(config, "logit_scale", None) or 1.0)
        logits = logits / (getattr(config, "logits_scaling", None) or 1.0)
        cap = getattr(config, "final_logit_softcapping", None)
        return logits if cap is None else cap * torch.tanh(logits / cap)

    @property
    def label(self) -> str:
        """The name under which it is shown: of a folder, a file or a hub id, the last part."""
        return model_label(self.name)

    def __repr__(self) -> str:
        return f"LanguageModel({self.label}: {', '.join(f'{what} {value}' for what, value in self._facts().items())})"

    def _repr_html_(self) -> str:
        return card(f"LanguageModel({self.label})", tuple(self._facts()), [tuple(self._facts().values())])

    def _facts(self) -> dict[str, str]:
        return {
            "class": type(self.model).__name__,
            "layers": str(self.n_layers),
            "heads": str(self.n_heads),
            "KV heads": str(self.n_kv_heads),
            "vocabulary": str(self.vocab_size),
            "positions": "any" if self.max_positions is None else str(self.max_positions),
            "dtype": f"{str(self.dtype).removeprefix('torch.')} on {self.device}",
            "tokenizer": "no" if self.tokenizer is None else "yes",
        }
