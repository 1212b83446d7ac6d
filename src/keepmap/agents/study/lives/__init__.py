"""A study of lives: what agents of a family earn when their histories are shortened while they act."""

from keepmap.agents.study.lives.files import LIVES_FILE, TIMES_FILE, read_family_study, write_family_study
from keepmap.agents.study.lives.findings import FamilyStudy, LivesRow, findings_of
from keepmap.agents.study.lives.lived import Lived, lived, planned_lives
from keepmap.agents.study.lives.times import measured_times

__all__ = [
    "LIVES_FILE",
    "TIMES_FILE",
    "FamilyStudy",
    "Lived",
    "LivesRow",
    "findings_of",
    "lived",
    "measured_times",
    "planned_lives",
    "read_family_study",
    "write_family_study",
]
