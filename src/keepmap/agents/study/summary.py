"""From finished runs to the study: its rows, what attention looks like, and what the guide promised."""

from collections.abc import Mapping, Sequence
from typing import Any

from keepmap.agents.compressor import compressors
from keepmap.agents.evaluation.evaluate import PACKAGES
from keepmap.agents.study.job import StudyJob, finished
from keepmap.agents.study.promises import pattern_of, promises_of
from keepmap.agents.study.results import Study
from keepmap.agents.study.rows import rows_of
from keepmap.core.versions import versions

__all__ = ["study_of"]


def study_of(jobs: Sequence[StudyJob], options: Mapping[str, Any]) -> Study:
    """The study of the jobs that are finished.

    Args:
        options: what decided it, as JSON values.
    """
    runs = [run for run in map(finished, jobs) if run is not None]
    looking = [name for name, known in compressors().items() if known.needs_attention]
    rows, pattern = rows_of(runs, looking), pattern_of(runs)
    return Study(rows, promises_of(rows, pattern, looking), pattern, dict(options), versions(*PACKAGES))
