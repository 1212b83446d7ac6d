"""Facts to recall: where they stand, which side of the split they are on, and the sample data file."""

import json
import random

import pytest
from transformers import AutoTokenizer

from keepmap.errors import InputError, OutputError
from keepmap.kv.data import corpus
from keepmap.kv.data.facts import WORDS, is_for_evaluation, list_probe, locate, prose_probe, tokenize_probe, weave_facts
from keepmap.kv.data.sample import sample_texts, write_sample_data
from keepmap.language_model import EMBEDDED

DOCUMENTS = [[f"Paragraph {k} of document {d}\nhas two lines." for k in range(30)] for d in range(3)]


@pytest.fixture(scope="module")
def tiny_tokenizer():
    return AutoTokenizer.from_pretrained(EMBEDDED["tiny"], local_files_only=True)


def characters(text: str) -> tuple[list[int], list[tuple[int, int]]]:
    """Every character a token: the plainest tokenizer."""
    return [ord(letter) for letter in text], [(at, at + 1) for at in range(len(text))]


@pytest.mark.parametrize("evaluation", [False, True])
@pytest.mark.parametrize("dense", [0.0, 0.5, 1.0])
def test_every_fact_is_stated_once_then_asked_once_where_the_probe_says(evaluation, dense):
    for seed in range(20):
        rng = random.Random(seed)
        probe = prose_probe(rng, DOCUMENTS, 2000, 8, evaluation=evaluation, dense=dense, gap=100)
        assert len(probe.text) <= 2000
        assert len({fact.word for fact in probe.facts}) == 8
        for fact in probe.facts:
            assert is_for_evaluation(fact.word, fact.code) == evaluation
            assert probe.text.count(f" {fact.word} is {fact.code}") == 2
            for at in (fact.stated, fact.answer):
                assert probe.text[at : at + 4] == fact.code
            assert fact.answer - fact.stated > 100
        assert [fact.answer for fact in probe.facts] == sorted(fact.answer for fact in probe.facts)


def test_positions_of_digits_in_tokens():
    probe = list_probe(random.Random(0), 5)
    located = locate(probe, *characters(probe.text))
    for fact, stated, answer in zip(probe.facts, located.stated, located.answers, strict=True):
        for positions in (stated, answer):
            assert "".join(chr(located.ids[at]) for at in positions) == fact.code


def test_a_tokenizer_that_joins_digits_is_refused():
    probe = list_probe(random.Random(0), 1)
    with pytest.raises(ValueError, match="each digit a token of its own"):
        locate(probe, [0], [(0, len(probe.text))])


def test_the_same_seed_gives_the_same_probe():
    first, second = (prose_probe(random.Random("x"), DOCUMENTS, 900, 4) for _ in range(2))
    assert first == second


def test_training_never_draws_a_pair_of_evaluation():
    rng = random.Random(0)
    trained = {(fact.word, fact.code) for _ in range(300) for fact in list_probe(rng, 40).facts}
    judged = {(fact.word, fact.code) for _ in range(300) for fact in list_probe(rng, 40, evaluation=True).facts}
    assert not trained & judged
    assert not any(is_for_evaluation(*pair) for pair in trained)
    assert all(is_for_evaluation(*pair) for pair in judged)


def test_the_split_never_changes():
    # Weights in the package were trained under this split: another one would let training pairs into evaluation.
    assert [is_for_evaluation("river", f"{code:04d}") for code in range(16)] == [True] + [False] * 13 + [True, False]
    assert {name for name in ("assert", "compound", "debugger", "strings", "types") if corpus.is_held_out(name)} == {
        "compound", "debugger", "strings",
    }  # fmt: skip


def test_too_many_facts():
    with pytest.raises(ValueError, match="one word per fact"):
        list_probe(random.Random(0), len(WORDS) + 1)


def test_facts_that_do_not_fit():
    with pytest.raises(ValueError, match="8 facts and their questions take .* more than the length 300"):
        prose_probe(random.Random(0), DOCUMENTS, 300, 8)


def test_woven_facts_leave_the_lines_as_they_are():
    lines = [f"line {k}\n" for k in range(50)]
    probe = weave_facts(random.Random(1), lines, 6, dense=0.5, gap=40)
    assert [line for line in probe.text.splitlines(keepends=True) if line.startswith("line")] == lines


def test_held_out_prose_is_not_in_the_training_text():
    trained = corpus.training_fingerprints()
    held_out = [corpus.fingerprint(piece) for pieces in corpus.held_out_documents() for piece in pieces]
    assert sum(len(piece) for piece in held_out) > 40_000
    assert not trained.intersection(held_out)


def test_the_sample_file(tmp_path, tiny_tokenizer):
    path = write_sample_data(tmp_path / "data.jsonl")
    texts = [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(texts) == 8
    assert all(1500 <= len(tiny_tokenizer(text)["input_ids"]) <= 3000 for text in texts)
    assert path.read_bytes() == write_sample_data(tmp_path / "again.jsonl", seed=0).read_bytes()
    assert texts != sample_texts(seed=1)
    trained = corpus.training_fingerprints()
    for text in texts:
        facts = ("The code of ", "What is the code of ", "Codes: ", "Again: ")
        prose = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(facts))
        assert not trained.intersection(corpus.fingerprint(piece) for piece in corpus.paragraphs(prose))


def test_tiny_reads_probes(tiny_tokenizer):
    probe = prose_probe(random.Random(3), DOCUMENTS, 1500, 6, dense=0.5)
    located = tokenize_probe(probe, tiny_tokenizer)
    for fact, answer in zip(probe.facts, located.answers, strict=True):
        assert tiny_tokenizer.decode([located.ids[at] for at in answer]) == fact.code


def test_sample_file_errors(tmp_path):
    with pytest.raises(InputError, match="expected `n_samples` to be an integer of 1 or more, got 0"):
        sample_texts(0)
    with pytest.raises(InputError, match=r"expected `n_samples` to be \d+ or less, got 10000: "):
        sample_texts(10_000)
    with pytest.raises(OutputError, match="cannot write"):
        write_sample_data(tmp_path / "nowhere" / "data.jsonl")
    assert not list(tmp_path.iterdir())
