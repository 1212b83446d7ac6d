"""KV-cache methods, one per file; the registry finds them."""
