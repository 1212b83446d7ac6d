"""Methods: what can be dropped. Frozen data and pure functions; none of them loads a model."""
