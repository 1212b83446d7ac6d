"""What transformers asks of a layer of our caches, whatever that holds."""

from typing import Never

from torch import Tensor
from transformers.cache_utils import CacheLayerMixin

from keepmap.errors import InputError

__all__ = ["SeenLayer", "no_way_back"]


def no_way_back() -> InputError:
    """Positions are to be taken back."""
    return InputError(
        "an evicting cache cannot take positions back, as assisted and prompt-lookup decoding ask; generate "
        "without them, or go on from a `fork()` that was taken earlier"
    )


class SeenLayer(CacheLayerMixin):
    """A layer whose `get_seq_length` is what was seen, never what is held; of that nothing comes back."""

    is_sliding = False

    def get_mask_sizes(self, query_length: int | Tensor) -> tuple[int, int]:
        """As if everything were held: the mask says by the model's own rules what a query sees, no more."""
        # transformers before 5.4 gives the queries' positions instead of their number.
        new = query_length.shape[0] if isinstance(query_length, Tensor) else query_length
        return self.get_seq_length() + new, 0

    def get_max_length(self) -> int:
        """No limit."""
        return -1

    get_max_cache_shape = get_max_length
    """Its name before transformers 5.23."""

    def crop(self, tokens_to_remove: int) -> None:
        """Refused: what was evicted for later positions does not come back.

        Raises:
            InputError: always.
        """
        raise no_way_back()

    def reorder_cache(self, beam_idx: object) -> None:
        """Refused: an EvictingCache does it for all of its layers.

        Raises:
            InputError: always.
        """
        raise InputError(
            "expected `past_key_values` to be a keepmap.EvictingCache where its rows change, got a plain cache; pass "
            "one of ours"
        )

    batch_select_indices = batch_repeat_interleave = reorder_cache

    def __deepcopy__(self, memo: object) -> Never:
        """Refused: a copy is a `fork()` of the cache.

        Raises:
            InputError: always.
        """
        raise InputError("an evicting cache is copied by `fork()`; pass a keepmap.EvictingCache and take that")

    def activate_past_recording(self) -> None:
        """Refused, as `crop` is: who asks for it is about to take positions back.

        Raises:
            InputError: always.
        """
        self.crop(0)

    def offload(self) -> None:
        """Refused.

        Raises:
            InputError: always.
        """
        raise InputError("an evicting cache stays where the model is; leave offloading out")
