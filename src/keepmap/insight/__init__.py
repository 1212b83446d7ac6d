"""What could be dropped, and is it so? For both wings, tested by deletion."""

from keepmap.insight.document import FILE, as_document, verification_of
from keepmap.insight.guide import GuideInsight
from keepmap.insight.subjects import SUBJECTS
from keepmap.insight.suggestion import Suggestion
from keepmap.insight.verification import ALIKE, COSTS, HELD, RULES, WORSE, Compared, Difference, Verification

__all__ = [
    "ALIKE",
    "COSTS",
    "FILE",
    "HELD",
    "RULES",
    "SUBJECTS",
    "WORSE",
    "Compared",
    "Difference",
    "GuideInsight",
    "Suggestion",
    "Verification",
    "as_document",
    "verification_of",
]
