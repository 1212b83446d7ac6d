"""Studies: of families of tasks."""

from keepmap.commands.studying.families import study_family

__all__ = ["study_family"]
