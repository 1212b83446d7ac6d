"""Which wing a profile, or a result's `host`, belongs to: the one place that tells them apart."""

from keepmap.attention import AttentionProfile
from keepmap.insight.agent_subject import AgentSubject
from keepmap.insight.subject import Subject
from keepmap.insight.text_subject import TextSubject

__all__ = ["SUBJECTS", "subject_of"]

SUBJECTS: dict[str, type[Subject]] = {subject.host: subject for subject in (AgentSubject, TextSubject)}
"""The wing's class, by the `host` that results name."""


def subject_of(profile: AttentionProfile) -> Subject:
    """The wing of a profile: only an agent's has landmarks. Its sinks are those that the profile was made with."""
    return TextSubject(profile.n_sink) if profile.landmarks is None else AgentSubject()
