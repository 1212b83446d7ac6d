"""What a comparison reads has a hash: another model, surrogate or tokenizer is another run."""

from dataclasses import replace

from keepmap.kv.comparison.inputs import model_hashes, tokens_hash
from keepmap.kv.comparison.session import Session
from keepmap.kv.eviction.resolve import resolve_method
from keepmap.language_model import load_language_model


def test_of_a_session_they_are_its_facts(session: Session) -> None:
    hashes = model_hashes(session.language_model, session.methods) | tokens_hash(session.samples)
    assert hashes == session.facts.hashes and hashes["device"] == "cpu"
    other = [replace(session.samples[0], ids=(1, 2, 3)), *session.samples[1:]]
    assert tokens_hash(other) != tokens_hash(session.samples)


def test_a_surrogate_is_a_part_of_the_model() -> None:
    language_model = load_language_model("tiny")
    hashes = {
        model_hashes(language_model, methods)["model"]
        for methods in (
            {},
            {"kvzap": resolve_method("kvzap", language_model, kvzap_model_type="mlp")},
            {"kvzap": resolve_method("kvzap", language_model, kvzap_model_type="linear")},
        )
    }
    assert len(hashes) == 3
