"""A language model's KV cache: methods, rules, exact eviction, comparisons. Nothing here knows an agent."""
