"""Several texts on one cache, each of them as if it were alone."""
