"""An agent as insight sees it: the last query decides over the transitions, and suggestions are compressors."""

import pytest
import torch

import keepmap
from keepmap.errors import InputError
from keepmap.insight.agent_subject import COMPRESSORS, AgentSubject
from tests.drawing.profiles import Chosen
from tests.insight.suggested import compressor_of


@pytest.mark.parametrize("pattern", [*COMPRESSORS])
def test_an_agents_suggestion_is_code(pattern: str) -> None:
    assert compressor_of(AgentSubject().suggestion(pattern, 7, 100)).max_length == 7  # type: ignore[attr-defined]
    assert AgentSubject().suggestion(pattern, 0, 100).keep == 1


def test_the_query_shares_its_attention_out_over_the_transitions_before_it() -> None:
    logits = torch.zeros(4, 4, dtype=torch.float64)
    logits[2:] = torch.tensor([[0.2, 0.3, 0.5, 1.0], [0.1, 0.2, 0.3, 0.4]], dtype=torch.float64).log()
    profile = keepmap.profile_attention(Chosen(logits), None, queries=[0, 2, 3])
    shares = AgentSubject().shares(profile, 0, [0])
    assert shares.positions.tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert shares.ages.tolist() == pytest.approx([0.3, 0.2, 0.1]) and (shares.given, shares.first) == (0.0, 0)
    assert AgentSubject().shares(profile, 0, [0], query=2).positions.tolist() == pytest.approx([0.2, 0.3])
    with pytest.raises(InputError, match="have positions before it, got query 0"):
        AgentSubject().shares(profile, 0, [0], query=0)
