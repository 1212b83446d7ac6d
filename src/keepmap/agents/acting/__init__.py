"""An agent that acts: its rolling window, its fast forward pass, its context."""
