"""Compressors of an agent's history, one per file; the registry finds them."""
