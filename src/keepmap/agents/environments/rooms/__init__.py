"""The rooms, one per file; `environments()` finds them."""
