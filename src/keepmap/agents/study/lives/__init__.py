"""A study of lives: what agents of a family earn when their histories are shortened while they act."""

from keepmap.agents.study.lives.findings import FamilyStudy, LivesRow, findings_of
from keepmap.agents.study.lives.lived import Lived, lived, planned_lives

__all__ = ["FamilyStudy", "Lived", "LivesRow", "findings_of", "lived", "planned_lives"]
