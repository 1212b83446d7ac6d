"""What a comparison reads has a hash: another model, surrogate or tokenizer is another run."""

from dataclasses import replace

from keepmap.kv.comparison.inputs import input_hashes
from keepmap.kv.comparison.session import Session
from keepmap.kv.eviction.resolve import resolve_method
from keepmap.language_model import load_language_model


def test_of_a_session_they_are_its_facts(session: Session) -> None:
    hashes = input_hashes(session.language_model, session.methods, session.samples)
    assert hashes == session.facts.hashes and hashes["device"] == "cpu"
    other = [replace(session.samples[0], ids=(1, 2, 3)), *session.samples[1:]]
    changed = input_hashes(session.language_model, session.methods, other)
    assert {name for name in hashes if hashes[name] != changed[name]} == {"tokenizer"}


def test_a_surrogate_is_a_part_of_the_model() -> None:
    language_model = load_language_model("tiny")
    hashes = {
        input_hashes(language_model, methods, [])["model"]
        for methods in (
            {},
            {"kvzap": resolve_method("kvzap", language_model, kvzap_model_type="mlp")},
            {"kvzap": resolve_method("kvzap", language_model, kvzap_model_type="linear")},
        )
    }
    assert len(hashes) == 3
