"""Verbs that train: an agent, and a KVzap surrogate."""
