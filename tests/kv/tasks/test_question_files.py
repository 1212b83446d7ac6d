"""Questions of a user's own file: three forms, and one line for whatever is wrong, which names the question."""

import json
from pathlib import Path

import pytest

from keepmap.errors import InputError
from keepmap.kv.tasks.kinds.qa import Qa

COVERS = ("keepmap.kv.tasks.making.question_files",)
QUESTION = {"context": "Ann lives in Rome. Bob in Oslo.", "question": "Where is Bob?", "answers": ["Oslo"]}
SQUAD = {
    "data": [
        {
            "paragraphs": [
                {
                    "context": QUESTION["context"],
                    "qas": [
                        {"question": "Where is Bob?", "answers": [{"text": "Oslo", "answer_start": 26}]},
                        {"question": "Where is Cat?", "answers": [], "is_impossible": True},
                    ],
                }
            ]
        }
    ]
}


def written(tmp_path: Path, text: str) -> Qa:
    path = tmp_path / "questions.json"
    path.write_text(text, encoding="utf-8")
    return Qa(path=str(path))


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([{**QUESTION, "evidence": ["Oslo"]}]),
        json.dumps({**QUESTION, "evidence": "Oslo"}) + "\n" + json.dumps({**QUESTION, "question": "And Ann?"}),
        json.dumps({**QUESTION, "evidence": "Oslo"}),
        json.dumps(SQUAD),
    ],
    ids=["list", "lines", "one", "squad"],
)
def test_each_form_is_read(tmp_path: Path, text: str) -> None:
    (sample,) = written(tmp_path, text).fixed()
    question = sample.questions[0]
    assert question.text.endswith("Question: Where is Bob?") and question.prefix == " Answer:"
    assert question.target == " Oslo" and sample.name == "question 1 of `qa_file`"
    assert [sample.context[first:end] for first, end in question.evidence] == ["Oslo"]
    assert len(sample.questions) == (2 if "And Ann" in text else 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "line 1 of `qa_file` is no JSON"),
        ("[]", "expected `qa_file` to be a list of questions"),
        ("[" * 100_000, "lists in lists without end"),
        ("[3]", "expected question 1 of `qa_file` to be"),
        (json.dumps([QUESTION, {**QUESTION, "answers": []}]), "question 2 of `qa_file` has no answers"),
        (json.dumps([{**QUESTION, "answers": [""]}]), "question 1 of `qa_file` has no answers"),
        (json.dumps([{**QUESTION, "context": " "}]), "question 1 of `qa_file` has no context"),
        (json.dumps([{**QUESTION, "question": "\ud800"}]), "the question of question 1 of `qa_file` is no text"),
        (json.dumps([{**QUESTION, "evidence": ["Paris"]}]), "evidence of question 1 of `qa_file` is not found"),
        (json.dumps([{**QUESTION, "evidence": [3]}]), "expected the evidence of question 1 of `qa_file`"),
        (json.dumps(SQUAD).replace("26", "3"), "answer of question 1 of `qa_file` does not stand in its context"),
        (json.dumps(SQUAD).replace("26", '"x"'), "answer of question 1 of `qa_file` does not stand in its context"),
        ('{"data": [{"paragraphs": 3}]}', "not its paragraphs, qas and answers"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        written(tmp_path, text).fixed()


def test_a_task_without_a_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs a file of questions; give `qa_file`"):
        Qa().fixed()
    with pytest.raises(InputError, match="no file at"):
        Qa(path=str(tmp_path / "none.json")).fixed()
