"""Learning histories: their sources, their collection, their files."""
