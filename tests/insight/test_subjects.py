"""Each profile finds its wing, and each result its words."""

import dataclasses

from keepmap.attention.landmarks import Landmarks
from keepmap.insight.agent_subject import AgentSubject
from keepmap.insight.subjects import SUBJECTS, subject_of
from keepmap.insight.text_subject import TextSubject
from tests.drawing.profiles import profile_of


def test_landmarks_make_an_agents_profile() -> None:
    profile = dataclasses.replace(profile_of(), landmarks=None, n_sink=2)
    n = profile.shape[2]
    assert subject_of(profile) == TextSubject(2)
    marks = Landmarks((1,) * n, tuple(range(1, n + 1)), (*(0.0,) * (n - 1), None))
    assert isinstance(subject_of(dataclasses.replace(profile, landmarks=marks)), AgentSubject)


def test_words_of_either_host() -> None:
    assert {host: (subject.samples, subject.groups) for host, subject in SUBJECTS.items()} == {
        "agent": ("contexts", "goals"),
        "language model": ("texts", "texts"),
    }
