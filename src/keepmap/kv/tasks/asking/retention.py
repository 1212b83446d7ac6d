"""What was kept of the evidence when the answer began.

L layer · G KV head · T tokens of the evidence.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from keepmap.core.keep_map import KeepMap

__all__ = ["Retention", "retention_of"]


@dataclass(frozen=True, kw_only=True)
class Retention:
    """What the cache holds of the tokens that an answer stands in.

    Attributes:
        kept: the share of their entries that are held, over all layers and KV heads.
        by_head: the same in each layer and KV head, [L][G].
        ger: the share of the tokens of which no entry is held in any layer and head (the global eviction ratio).
        ger_by_layer: the share of which none is held in any head of a layer, the mean over layers.
        whole: the share of layers and heads that hold a span of evidence whole, the mean over spans.
        mass: the share of its attention that the query which the answer begins after gives to what is held of them, the
            mean over layers and query heads.
        deaths: of each token, the first query that saw none of its entries any more; None where one is held.
    """

    kept: float
    by_head: tuple[tuple[float, ...], ...]
    ger: float
    ger_by_layer: float
    whole: float
    mass: float
    deaths: tuple[int | None, ...]


def retention_of(keep_map: KeepMap, evidence: Sequence[Sequence[int]], mass: float = 0.0) -> Retention | None:
    """What a map holds of the positions of each span of evidence; None where there is no evidence.

    >>> import torch
    >>> keep_map = KeepMap(torch.tensor([[[4, 2, 4, 4], [4, 4, 3, 4]]]), torch.zeros(1, 2, 4))
    >>> retention = retention_of(keep_map, [[1, 2]])
    >>> retention.kept, retention.by_head, retention.ger, retention.whole, retention.deaths
    (0.5, ((0.5, 0.5),), 0.0, 0.0, (None, None))
    """
    if not evidence:
        return None
    positions = sorted({position for span in evidence for position in span})
    held = keep_map.kept()
    alive = held[:, :, positions]  # [L, G, T]
    in_layer = alive.any(dim=1)  # [L, T]
    is_held = in_layer.any(dim=0).tolist()
    last = keep_map.expires[:, :, positions].amax(dim=(0, 1)).tolist()
    whole = [float(held[:, :, list(span)].all(dim=2).double().mean()) for span in evidence]
    return Retention(
        kept=float(alive.double().mean()),
        by_head=tuple(tuple(heads) for heads in alive.double().mean(dim=2).tolist()),
        ger=1 - sum(is_held) / len(is_held),
        ger_by_layer=float((~in_layer).double().mean()),
        whole=sum(whole) / len(whole),
        mass=mass,
        deaths=tuple(None if held_now else end for held_now, end in zip(is_held, last, strict=True)),
    )
