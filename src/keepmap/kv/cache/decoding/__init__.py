"""A decoding step of one layer: one query against what is held, compiled on a CPU, fused on a GPU."""
