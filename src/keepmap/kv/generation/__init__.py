"""Let a model go on from a text under eviction: what it said, what it kept, and the bytes that this held."""

from keepmap.kv.budgets import as_json, as_spread
from keepmap.kv.generation.files import FILES, read_generation, write_generation
from keepmap.kv.generation.generate import PACKAGES, generate
from keepmap.kv.generation.generation import Generation

__all__ = ["FILES", "PACKAGES", "Generation", "as_json", "as_spread", "generate", "read_generation", "write_generation"]
