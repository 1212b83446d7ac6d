"""Does a method that somebody wrote behave as one has to? The checks of `keepmap check-method`."""

from keepmap.kv.checking.check import Check, check_behaviour
from keepmap.kv.method import Method, methods

__all__ = ["Check", "Method", "check_behaviour", "methods"]
