"""Forward passes as this wing makes them: the one way from here to the code that reaches into a model."""

from keepmap.attention import as_tokens, is_encoding
from keepmap.attention.passes.calls import calls_in_hands
from keepmap.attention.passes.forward import LayerCall, Text, active, in_eval_mode, queries_unturned, run, run_texts
from keepmap.attention.passes.forward_check import check_forward

__all__ = [
    "LayerCall",
    "Text",
    "active",
    "as_tokens",
    "calls_in_hands",
    "check_forward",
    "in_eval_mode",
    "is_encoding",
    "queries_unturned",
    "run",
    "run_texts",
]
