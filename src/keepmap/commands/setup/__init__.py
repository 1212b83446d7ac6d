"""Setting up: what is installed, what is there, and data to begin with."""
