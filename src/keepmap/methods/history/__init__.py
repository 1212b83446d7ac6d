"""One compressor of an agent's history per file; `keepmap.methods.history.registry` finds them."""
