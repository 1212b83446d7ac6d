"""Whose attention `attention` looks at, on which texts or lives, and the pictures of it."""
