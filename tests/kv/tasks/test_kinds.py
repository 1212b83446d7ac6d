"""Every task: the same sample for the same seed, evidence that holds the answer, and the length that was wanted."""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

import keepmap
from keepmap.errors import InputError
from keepmap.kv.tasks.kinds.cwe import Cwe
from keepmap.kv.tasks.kinds.facts import Facts
from keepmap.kv.tasks.kinds.fwe import Fwe
from keepmap.kv.tasks.kinds.key_chain import KeyChain
from keepmap.kv.tasks.kinds.kv_recall import KvRecall
from keepmap.kv.tasks.kinds.niah_single import NiahSingle1
from keepmap.kv.tasks.kinds.vt import Vt
from keepmap.kv.tasks.making.haystack import Haystack, as_haystack, documentation
from keepmap.kv.tasks.making.lengths import sample_of_length
from keepmap.kv.tasks.task import Question, Task, TaskSample, as_task, tasks

COVERS = ("keepmap.kv.tasks.kinds.*", "keepmap.kv.tasks.making.*", "keepmap.kv.tasks.task")
MAKERS = [name for name in tasks() if name != "qa"]
ASKED_TOGETHER = ("cwe", "fwe")  # whose evidence is every place of the words


def words(sample: TaskSample) -> int:
    """A measure that needs no tokenizer."""
    return len(sample.context.split()) + max(len(question.text.split()) for question in sample.questions)


def made_at(name: str, length: int = 400, index: int = 0, seed: int = 0) -> TaskSample:
    return sample_of_length(as_task(name), seed, index, length, words, documentation())


def test_the_list_is_rulers_and_more() -> None:
    ruler = {f"niah_{kind}_{number}" for kind in ("single", "multikey") for number in (1, 2, 3)}
    assert ruler | {"niah_multivalue", "niah_multiquery", "vt", "cwe", "fwe", "qa"} < set(keepmap.tasks())
    assert {"kv_recall", "key_chain", "many_questions", "many_turns", "facts"} < set(keepmap.tasks())


@pytest.mark.parametrize("name", MAKERS)
def test_a_sample_is_that_of_its_seed_and_number_alone(name: str) -> None:
    assert made_at(name) == made_at(name)
    assert made_at(name).questions != made_at(name, index=1).questions
    assert made_at(name).questions != made_at(name, seed=1).questions
    # A longer one asks the same, but where the length says which words there are.
    if name not in ("cwe", "fwe", "kv_recall", "niah_multikey_2", "niah_multikey_3"):
        assert made_at(name).questions[0].answers == made_at(name, 500).questions[0].answers


@pytest.mark.parametrize("name", MAKERS)
def test_the_answer_stands_in_the_evidence_and_the_target_gives_full_marks(name: str) -> None:
    from keepmap.kv.tasks.asking.scoring import is_exact, ruler_score

    sample = made_at(name)
    for question in sample.questions:
        spans = [sample.context[first:end] for first, end in question.evidence]
        assert all(any(answer in span for span in spans) for answer in question.answers)
        assert ruler_score(question.target, question.answers, as_task(name).scoring) == 1.0
        assert is_exact(question.target + ".", question.target)
        assert question.target.startswith(" ") and not question.prefix.endswith(" ")
        if name in ASKED_TOGETHER:
            assert len(spans) > len(question.answers)


@pytest.mark.parametrize("name", MAKERS)
def test_it_is_as_long_as_was_wanted(name: str) -> None:
    for length in (400, 900):
        assert 0.75 * length < words(made_at(name, length)) <= length


def test_a_length_that_the_question_alone_takes_is_refused() -> None:
    with pytest.raises(InputError, match=r"expected `length` to be \d+ or more, which vt takes, got 9 tokens"):
        made_at("vt", 9)


def test_needles_lie_all_over_the_text() -> None:
    shares = []
    for index in range(40):
        sample = made_at("niah_single_2", index=index)
        shares.append(sample.questions[0].evidence[0][0] / len(sample.context))
    assert min(shares) < 0.2 and max(shares) > 0.8


def test_what_each_task_hides() -> None:
    rng = random.Random(0)
    chain = Vt(hops=3).sample(rng, 5, documentation())
    assert [span[1] - span[0] for span in chain.questions[0].evidence] == [17, 22, 22, 22]
    counts = Cwe().sample(rng, 30, documentation())
    listed = counts.context.split("\n")[1].split()[1::2]
    assert all(listed.count(word) == (6 if word in counts.questions[0].answers else 1) for word in listed)
    coded = Fwe().sample(rng, 30, documentation())
    text = coded.context.split("coded words. ")[1].split()
    ranked = sorted(set(text), key=text.count, reverse=True)
    assert ranked[0] == "..." and tuple(ranked[1:4]) == coded.questions[0].answers
    hops = KeyChain(hops=3).sample(rng, 4, documentation())
    first, last = (
        hops.context[slice(*hops.questions[0].evidence[0])],
        hops.context[slice(*hops.questions[0].evidence[2])],
    )
    assert first.split()[2] in hops.questions[0].text and hops.questions[0].answers[0] in last
    pairs = KvRecall(uuids=True).sample(rng, 3, documentation())
    assert len(pairs.questions[0].answers[0]) == 36
    assert len(Facts(questions=2).sample(rng, 3, documentation()).questions) == 2
    noise = NiahSingle1().sample(rng, 7, documentation())
    assert noise.context.count("The grass is green.") == 7


def test_words_that_the_haystack_has_not_are_missed() -> None:
    with pytest.raises(InputError, match="cwe at this `length` needs 5,010 different words"):
        Cwe().sample(random.Random(0), 5000, documentation())


def test_a_text_of_ones_own_is_the_haystack(tmp_path: Path) -> None:
    path = tmp_path / "essay.txt"
    path.write_text("One thing\nis clear. Another one is not! Is it?", encoding="utf-8")
    haystack = as_haystack(path)
    assert haystack.name == "essay.txt" and haystack.text == ("One thing is clear.", "Another one is not!", "Is it?")
    sentences = haystack.sentences(random.Random(1), 5)
    assert len(sentences) == 5 and set(sentences) == set(haystack.text)
    path.write_text(" \n", encoding="utf-8")
    with pytest.raises(InputError, match="expected `haystack` to be a text with sentences, got none"):
        as_haystack(path)


def test_a_task_that_does_not_grow_is_one_line() -> None:
    @dataclass(frozen=True)
    class Still(Task):
        name: ClassVar[str] = "still"
        scoring: ClassVar[str] = "all"
        new_tokens: ClassVar[int] = 4

        def sample(self, rng: random.Random, size: int, haystack: Haystack) -> TaskSample:
            return TaskSample(context="a", questions=(Question(text="b", prefix="", answers=("c",), target=" c"),))

    with pytest.raises(InputError, match="still never fills `length`=9"):
        sample_of_length(Still(), 0, 0, 9, words, documentation())


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("niah_single", 'unknown task "niah_single" as `tasks`, did you mean "niah_single_'),
        (3, "expected `tasks` to be names and instances of tasks, got 3"),
        (Facts, "got the class Facts; make an instance"),
    ],
)
def test_what_is_no_task_is_one_line(task: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_task(task)
