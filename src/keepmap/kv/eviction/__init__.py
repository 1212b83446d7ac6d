"""Keeping: the only code that changes what attention sees."""
