"""A real cache that evicts as `evict` does while a model generates."""
