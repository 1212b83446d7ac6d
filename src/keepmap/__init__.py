"""keepmap shows which parts of its context a transformer uses, and measures exactly what dropping the rest costs.

    language_model = keepmap.load_language_model("tiny")
    eviction = keepmap.evict(language_model, language_model.tokenizer.encode(text), "streaming_llm", density=0.2)
    print(eviction.keep_map.density(), eviction.logits.shape)

    agent = keepmap.load_agent("tiny")
    returns = agent.play(gymnasium.make_vec("keepmap/DarkRoom-9x9-v0", num_envs=8), episodes=40)

Every public name is loaded when it is first used: `import keepmap` alone loads neither torch nor transformers. The
submodule `keepmap.core.keep_map` holds KeepMap; `keepmap.draw` is the submodule `keepmap.drawing`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from keepmap.core.versions import __version__

if TYPE_CHECKING:
    from keepmap import drawing as draw
    from keepmap.agents.acting.agent import load_agent
    from keepmap.attention.profile import AttentionProfile
    from keepmap.attention.profiling import profile_attention
    from keepmap.commands.compare import compare_compression_methods
    from keepmap.core.keep_map import KeepMap
    from keepmap.errors import (
        ImpossibleResultError,
        InputError,
        KeepmapError,
        ModelError,
        OutputError,
        WorkerError,
    )
    from keepmap.kv.eviction.evict import evict
    from keepmap.language_model import load_language_model

__all__ = [
    "AttentionProfile",
    "ImpossibleResultError",
    "InputError",
    "KeepMap",
    "KeepmapError",
    "ModelError",
    "OutputError",
    "WorkerError",
    "__version__",
    "compare_compression_methods",
    "draw",
    "evict",
    "load_agent",
    "load_language_model",
    "profile_attention",
]

_HOME = {
    "AttentionProfile": "keepmap.attention.profile",
    "ImpossibleResultError": "keepmap.errors",
    "InputError": "keepmap.errors",
    "KeepMap": "keepmap.core.keep_map",
    "KeepmapError": "keepmap.errors",
    "ModelError": "keepmap.errors",
    "OutputError": "keepmap.errors",
    "WorkerError": "keepmap.errors",
    "compare_compression_methods": "keepmap.commands.compare",
    "draw": "keepmap.drawing",
    "evict": "keepmap.kv.eviction.evict",
    "load_agent": "keepmap.agents.acting.agent",
    "load_language_model": "keepmap.language_model",
    "profile_attention": "keepmap.attention.profiling",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'keepmap' has no attribute {name!r}")
    module = import_module(_HOME[name])
    value = module if name == "draw" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
