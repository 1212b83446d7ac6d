"""The models that the package carries: the language model and the agent, both named tiny; a surrogate for SmolLM2."""
