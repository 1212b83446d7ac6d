"""Every text is of exactly one kind."""

from hypothesis import given
from hypothesis import strategies as st

from keepmap.drawing.page.kinds import KINDS, kind_of_token


@given(st.text())
def test_every_text_has_a_kind(piece):
    assert kind_of_token(piece) in KINDS


def test_texts_of_each_kind():
    assert [
        kind_of_token(piece) for piece in ("don't", "été", "3.5%", "½", "?!", "…", "\t", " \n ", " =>", "</s>")
    ] == [*("word", "word", "number", "number", "punctuation", "punctuation", "space", "line break", "code", "role")]
