"""KV-cache methods, one per file; `keepmap.registry` finds them."""
