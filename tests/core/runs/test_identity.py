"""What makes a run the same run, and how it is said that it is another one."""

import json

import pytest

from keepmap.core.runs.identity import Identity

RUN = Identity(
    verb="compare",
    options={"density": 0.2, "methods": ("h2o", "random"), "seed": 0},
    versions={"keepmap": "1", "torch": "2"},
    hashes={"data": "ab"},
)


def other(**changes: object) -> Identity:
    return Identity(**{**vars(RUN), **changes})


@pytest.mark.parametrize(
    ("identity", "difference"),
    [
        (other(verb="study"), "it is of `keepmap compare`"),
        (other(options={**RUN.options, "density": None}), "`density` is 0.2 there and not given here"),
        (other(options={"methods": ["h2o"], "density": 0.2, "seed": 0}), '`methods` is ["h2o", "random"] there'),
        (other(options={**RUN.options, "n_sink": 4}), "`n_sink` is not given there and 4 here"),
        (other(versions={"keepmap": "2", "torch": "2"}), "keepmap was 1 there and is 2 here"),
        (other(hashes={"data": "cd"}), "the data has changed"),
    ],
)
def test_another_run_is_told_by_what_differs(identity: Identity, difference: str) -> None:
    assert str(RUN.difference_to(identity)).startswith(difference)
    assert identity.digest() != RUN.digest()


def test_the_same_run_is_the_same_after_a_file() -> None:
    read = Identity.from_document(json.loads(json.dumps(RUN.document())))
    assert read.difference_to(RUN) is None and RUN.difference_to(read) is None
    assert read.digest() == RUN.digest()
    assert RUN.difference_to(RUN.with_hashes(model="ef")) is None
    assert RUN.with_hashes(model="ef").difference_to(RUN.with_hashes(model="gh")) == "the model has changed"


def test_what_a_file_says_is_shown_without_control_characters() -> None:
    difference = other(options={"density": "\x1b[31m" + "x" * 500}).difference_to(RUN)
    assert difference is not None and difference.isprintable() and len(difference) < 200


@pytest.mark.parametrize(
    "document", [{}, {"verb": "x"}, {**RUN.document(), "verb": 1}, {**RUN.document(), "hashes": 1}]
)
def test_what_is_none_is_refused(document: dict) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Identity.from_document(document)
