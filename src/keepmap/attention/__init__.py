"""Looking: the only code that reads inside a forward pass."""
