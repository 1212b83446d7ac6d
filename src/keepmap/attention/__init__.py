"""Looking: the only code that reads inside a forward pass."""

from keepmap.attention.landmarks import Landmarks
from keepmap.attention.layer import AttentionLayer, causal
from keepmap.attention.profile import AttentionProfile
from keepmap.attention.profiling import AttentionSource, profile_attention, strongest_attention
from keepmap.attention.request import Indices, indices
from keepmap.attention.text import as_tokens, is_encoding, one_text

__all__ = [
    "AttentionLayer",
    "AttentionProfile",
    "AttentionSource",
    "Indices",
    "Landmarks",
    "as_tokens",
    "causal",
    "indices",
    "is_encoding",
    "one_text",
    "profile_attention",
    "strongest_attention",
]
