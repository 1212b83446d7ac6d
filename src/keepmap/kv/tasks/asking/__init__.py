"""Asking a model: prompts in tokens, answers under eviction, their scores, and what was kept of the evidence."""
