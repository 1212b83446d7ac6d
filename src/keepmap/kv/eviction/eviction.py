"""What an eviction gives: the last hidden states, the KeepMap, and what of them one asks for: logits, NLL, damage."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from keepmap.core.keep_map import KeepMap
from keepmap.core.metrics import negative_log_likelihood
from keepmap.core.outside.reporting import framed, write_page
from keepmap.core.result_table import ResultTable
from keepmap.errors import InputError, counted, escaped, kind_of
from keepmap.kv.eviction.dense import dense
from keepmap.kv.likelihood import blocks, measure_likelihood
from keepmap.language_model import LanguageModel

__all__ = ["Damage", "Eviction"]


@dataclass(frozen=True, kw_only=True)
class Damage(ResultTable):
    """What an eviction cost one text, against a reference that saw more.

    Attributes:
        nll, reference_nll: mean negative log-likelihood, nats per predicted token.
        kl: mean divergence of the reference's predictions to these, nats per token.
        top1_agreement: share of the tokens for which both predict the same next token.
        n: predicted tokens: all but the first, or those after the context that was cut once.

    >>> damage = Damage(nll=2.5, reference_nll=2.25, kl=0.125, top1_agreement=0.75, n=8)
    >>> damage
    Damage(+0.2500 nats per token: NLL 2.5000 against 2.2500, KL 0.1250, top-1 agreement 75.0%, n=8)
    >>> damage.to_csv().split()
    ['delta,nll,reference_nll,kl,top1_agreement,n', '0.25,2.5,2.25,0.125,0.75,8']
    """

    nll: float
    reference_nll: float
    kl: float
    top1_agreement: float
    n: int

    @property
    def rows(self) -> list[dict[str, object]]:
        """One row: the cost, what it is made of, and of how many tokens."""
        return [{"delta": self.delta, **asdict(self)}]

    @property
    def caption(self) -> str:
        """What is measured, and its unit."""
        return "Damage, in nats per token"

    @property
    def delta(self) -> float:
        """The NLL less that of the reference, nats per token."""
        return self.nll - self.reference_nll

    def __repr__(self) -> str:
        return (
            f"Damage({self.delta:+.4f} nats per token: NLL {self.nll:.4f} against {self.reference_nll:.4f}, "
            f"KL {self.kl:.4f}, top-1 agreement {self.top1_agreement:.1%}, n={self.n})"
        )


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Eviction:
    """One text through a model under one method.

    Attributes:
        hidden_states: [N, hidden], the last ones.
        keep_map: what was kept, until when.
        language_model: whose head gives the logits.
        input_ids: [N], the text.
        felt: whether, in some layer, what the last query no longer saw would have changed its attention by more than
            rounding. Equal tokens have equal values, and dropping some of them changes nothing.

    >>> import keepmap
    >>> eviction = keepmap.evict("tiny", "The code of river is 4821. " * 9, "streaming_llm", window=16)
    >>> len(eviction.nll()) == len(eviction.input_ids) - 1, eviction.damage().n == len(eviction.nll())
    (True, True)
    """

    hidden_states: Float[Tensor, "N hidden"]
    keep_map: KeepMap
    language_model: LanguageModel
    input_ids: Int[Tensor, " N"]
    felt: bool

    @cached_property
    def logits(self) -> Float[Tensor, "N vocab"]:
        """The logits after each token (computed when first asked for; N x vocabulary numbers)."""
        return self.language_model.head(self.hidden_states)

    @torch.no_grad()
    def nll(self) -> Float[Tensor, " predicted"]:
        """The negative log-likelihood of each token but the first, N - 1 of them, in nats, float64 on the CPU.

        Computed in blocks of tokens: the logits of a long text are never held at once.

        >>> import keepmap
        >>> eviction = keepmap.evict("tiny", "The code of river is 4821. " * 9, "streaming_llm", window=16)
        >>> eviction.nll().dtype, len(eviction.nll()) == len(eviction.input_ids) - 1
        (torch.float64, True)
        """
        targets = self.input_ids.to(self.hidden_states.device)[1:]
        parts = [
            negative_log_likelihood(self.language_model.head(self.hidden_states[rows]), targets[rows]).cpu()
            for rows in blocks(len(targets), self.language_model.vocab_size)
        ]
        return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64)

    def damage(self, reference: "Eviction | None" = None) -> Damage:
        """What the eviction cost: NLL, KL and agreement against a reference.

        In mode "once", over the tokens after the context. Its last query, which predicts the first of them, sees all.

        >>> import keepmap
        >>> eviction = keepmap.evict("tiny", "The code of river is 4821. " * 9, "streaming_llm", window=16)
        >>> eviction.damage().kl > 0, eviction.damage(reference=eviction).delta
        (True, 0.0)

        Args:
            reference: another eviction of the same text; by default the model without eviction (one more pass).

        Raises:
            InputError: no token to predict, or a reference that is no Eviction of the same text.
            ImpossibleResultError: a value that is not finite.
        """
        if len(self.input_ids) < 2:
            raise InputError("expected `input_ids` to be two tokens or more, got one, which predicts nothing")
        context = self.keep_map.context_length or 1
        if context == len(self.input_ids):
            raise InputError(
                f"expected `input_ids` to go on after their context of {context} tokens, got none that could be "
                "predicted; give a text with more behind the context"
            )
        if reference is None:
            full = dense(self.language_model, self.input_ids)
        elif not isinstance(reference, Eviction):
            raise InputError(f"expected `reference` to be an Eviction or None, got {kind_of(reference)}")
        elif not torch.equal(reference.input_ids.cpu(), self.input_ids.cpu()):
            raise InputError("expected `reference` to be an Eviction of the same text, got one of another text")
        elif reference.language_model.name != self.language_model.name:
            raise InputError(
                f'expected `reference` to be an Eviction by model "{self.language_model.name}", got one by '
                f'"{reference.language_model.name}"'
            )
        else:
            full = reference.hidden_states
        measured, own = (
            measure_likelihood(
                self.language_model.head,
                self.language_model.vocab_size,
                self.input_ids,
                hidden_states,
                full,
                str(self.keep_map.info.get("label", "the eviction")),
                context,
            )
            for hidden_states in (self.hidden_states, full)
        )
        n = measured.n_predicted
        return Damage(
            nll=measured.nll / n,
            reference_nll=own.nll / n,
            kl=measured.kl / n,
            top1_agreement=measured.n_agreed / n,
            n=n,
        )

    def __repr__(self) -> str:
        label = escaped(str(self.keep_map.info.get("label", "unnamed")))
        return (
            f"Eviction({label} on {self.language_model.label}, {counted(len(self.input_ids), 'token')}: "
            f"{self.keep_map.density():.2%} of the cache is kept)\n{self.keep_map!r}"
        )

    def report(
        self,
        path: str | Path,
        *,
        redact_text: bool = False,
        spans: str | Path | Sequence[Mapping[str, Any]] | None = None,
        overwrite: bool = False,
    ) -> Path:
        """Write one HTML file that shows it all offline: docs/report.md says what. Another report there is replaced.

        >>> import keepmap, tempfile
        >>> eviction = keepmap.evict("tiny", "The code of river is 4821. " * 9, "streaming_llm", window=16)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     eviction.report(f"{folder}/report.html").read_text(encoding="utf-8")[:15]
        '<!DOCTYPE html>'

        Args:
            redact_text: whether each token of the text is replaced by its kind.
            spans: a JSON file of stretches of the text that have names, or a list of what it holds.
            overwrite: whether a file that is no report is written over, too.

        Returns:
            The path.

        Raises:
            InputError: spans that cannot be read.
            OutputError: the path cannot be written, or a file that is no report is there.
        """
        return write_page(self, path, redact_text=redact_text, spans=spans, overwrite=overwrite)

    def _repr_html_(self) -> str:
        return framed(self, self.keep_map._repr_html_())
