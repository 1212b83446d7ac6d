"""An in-context agent's history: worlds, learners, compressors, evaluation. Nothing here knows a KV cache."""
