"""An agent that acts: its rolling window, its fast forward pass, its context."""

from keepmap.agents.acting.agent import Agent, hash_of_agent, load_agent
from keepmap.agents.acting.context import Context, as_context, context_at
from keepmap.agents.acting.rollout import decide

__all__ = ["Agent", "Context", "as_context", "context_at", "decide", "hash_of_agent", "load_agent"]
