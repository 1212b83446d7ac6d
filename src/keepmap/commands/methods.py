"""`keepmap methods`: the KV methods, listed."""

from keepmap.printing.comparison import methods_table

__all__ = ["show_methods"]


def show_methods() -> None:
    """Print every method with its default rule and protection."""
    print("\n".join(methods_table()))
