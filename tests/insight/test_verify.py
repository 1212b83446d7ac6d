"""The one door to the test by deletion: either wing, however model and contexts are given; and what it refuses."""

import pytest
import torch

from keepmap.agents.acting.agent import Agent, load_agent
from keepmap.errors import InputError
from keepmap.insight.verify import verify
from keepmap.insight.verify_agent import verify_agent
from keepmap.insight.verify_texts import verify_texts
from keepmap.language_model import LanguageModel, load_language_model
from tests.agents.checkpoint_folders import write_agent
from tests.families import build, tokens
from tests.insight.walks import walks


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_agent(tmp_path_factory.mktemp("run"), split="0/3", compressor={"name": "recency"}))


@pytest.fixture(scope="module")
def agent(folder: str) -> Agent:
    return load_agent(folder)


@pytest.fixture(scope="module")
def language_model() -> LanguageModel:
    return load_language_model(build("llama"))


def test_an_agent_or_its_folder_and_contexts(agent: Agent, folder: str) -> None:
    contexts = walks(2, n=6)
    expected = verify_agent(agent, contexts, draws=2, episodes=0, seed=3)
    assert expected.trials
    assert verify(agent, contexts, draws=2, seed=3) == verify(folder, contexts, draws=2, seed=3) == expected
    assert verify(agent, contexts, draws=2, episodes=1, seed=3) == verify_agent(
        agent, contexts, draws=2, episodes=1, seed=3
    )
    (alone,) = {verify(agent, contexts[0], draws=1).n_samples, verify(agent, contexts[:1], draws=1).n_samples}
    assert alone == 1


def test_a_language_model_and_texts_of_any_kind(language_model: LanguageModel) -> None:
    text, shares = tokens(24), list[float]()
    expected = verify_texts(language_model, [text], draws=1, layers=1)
    for given in (text, text[None], text.tolist(), [text], [text.tolist()], {"input_ids": text}, (text,)):
        assert verify(language_model, given, draws=1, layers=1) == expected
    assert verify(language_model.model, text, draws=1, layers=1, progress=shares.append).trials == expected.trials
    assert shares == sorted(shares) and shares[-1] == 1
    assert verify(language_model, torch.stack([text, text]), draws=1).n_samples == 2


@pytest.mark.parametrize(
    ("contexts", "message"),
    [
        ([], "expected `contexts` to be one or more texts, got none"),
        (3, "expected `contexts` to be agents' Contexts or texts, got 3"),
        ([[1, 2], object()], "text 1: expected `contexts` to be one text"),
        ([1.5] * 20, "text 0: expected `contexts` to be "),
        ([1] * 9, "expected `contexts` to have 14 tokens or more"),
    ],
)
def test_texts_that_are_none(language_model: LanguageModel, contexts: object, message: str) -> None:
    with pytest.raises(InputError) as refused:
        verify(language_model, contexts)
    assert str(refused.value).startswith(message) and "\n" not in str(refused.value)


def test_what_an_agent_refuses(agent: Agent, language_model: LanguageModel) -> None:
    contexts = walks(1)
    with pytest.raises(InputError, match="`contexts` to be one or more, got none"):
        verify(agent, [])
    with pytest.raises(InputError, match="`contexts` of an agent to be Contexts, got 'a text'"):
        verify(agent, "a text")
    with pytest.raises(InputError, match="`contexts` of an agent to be Contexts, got 5"):
        verify(agent, [*contexts, 5])
    with pytest.raises(InputError, match="`model` to be an agent or its folder"):
        verify(language_model, contexts)


@pytest.mark.parametrize(("option", "value"), [("draws", 0), ("draws", True), ("seed", -1)])
def test_numbers_that_are_none(language_model: LanguageModel, option: str, value: object) -> None:
    with pytest.raises(InputError, match=f"expected `{option}` to be an integer"):
        verify(language_model, tokens(24), **{option: value})
