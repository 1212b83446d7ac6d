"""Time per example is no property of the code: a busy machine must not fail a test."""

from hypothesis import settings

settings.register_profile("keepmap", deadline=None)
settings.load_profile("keepmap")
