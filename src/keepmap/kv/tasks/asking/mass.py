"""The attention that goes to the evidence, of the query which an answer begins after.

H query head · G KV head · K entries that the fullest head holds.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from keepmap.kv.method import HeldInput
from keepmap.kv.passes import LayerCall

if TYPE_CHECKING:
    from keepmap.kv.cache.cache import EvictingCache

__all__ = ["EvidenceMass"]


class EvidenceMass:
    """Looks at a pass over several caches, layer by layer; without evidence it looks at nothing.

    Attributes:
        shares: of each cache, what the last query of the pass gave to positions of the evidence that are held, the mean
            over layers and query heads.
    """

    def __init__(self, caches: "Sequence[EvictingCache]", evidence: Sequence[Sequence[int]]) -> None:
        self._caches = caches
        self._positions = np.array(sorted({position for span in evidence for position in span}), dtype=np.int64)
        self.shares = [0.0] * len(caches)

    def __call__(self, row: int, call: LayerCall) -> None:
        """One layer of one cache."""
        cache = self._caches[row]
        held = cache.layer(call.layer).held
        if not len(self._positions) or held is None:
            return
        keys, values = held.slabs.padded()
        positions = held.columns.positions[:, : keys.shape[1]].astype(np.int64)
        seen = HeldInput(
            layer=call.layer,
            step=held.seen - 1,
            positions=torch.from_numpy(positions).to(keys.device),
            keys=keys,
            values=values,
            queries=call.queries[:, -1:],
            sees_from=call.sees_from[-1:],
            scaling=call.scaling,
            softcap=call.softcap,
            sinks=call.sinks,
        )
        inside = torch.from_numpy(np.isin(positions, self._positions)).to(keys.device)
        group = call.queries.shape[0] // held.heads
        share = (seen.attention[:, 0] * inside.repeat_interleave(group, dim=0)).sum(dim=1).mean()
        self.shares[row] += float(share) / len(cache.layers)
