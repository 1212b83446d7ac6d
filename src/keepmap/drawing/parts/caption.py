"""The words above a figure: what was drawn, and by which rule it was chosen."""

from keepmap.core.keep_map import KeepMap
from keepmap.core.labels import model_label

__all__ = ["describe", "rule_of"]


def rule_of(keep_map: KeepMap) -> str:
    """The rule in words: `threshold 0.85`, `density 0.2`, `budget 64`, or `nothing evicted` where none is named."""
    if keep_map.threshold is not None:
        return f"threshold {keep_map.threshold:g}"
    for name in ("density", "budget"):
        value = keep_map.info.get(name)
        if isinstance(value, (int, float)):
            return f"{name} {value:g}"
    return "nothing evicted" if bool(keep_map.kept().all()) else "rule not recorded"


def describe(keep_map: KeepMap) -> str:
    """One line: label, rule, model, and when it was decided where that was not after each query (exact decoding)."""
    info = keep_map.info
    parts = [str(info.get("label") or info.get("method") or "KeepMap"), rule_of(keep_map)]
    if info.get("model"):
        parts.append(model_label(info["model"]))
    chunk_size = info.get("chunk_size", 1)
    if chunk_size != 1:
        parts.append(f"chunks of {chunk_size}")
    if keep_map.context_length is not None:
        parts.append(f"cut once after {keep_map.context_length}")
    return " · ".join(parts)
