"""Families of tasks, one file each; the registry finds them."""
