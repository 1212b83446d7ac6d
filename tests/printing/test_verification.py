"""A verification's lines: they fit 80 columns, and say plainly what held and what did not."""

from dataclasses import replace

from keepmap.printing.verification import verification_lines
from tests.insight.trials import three_insights, verification_of


def test_the_lines_fit_and_say_it_plainly() -> None:
    lines = verification_lines(three_insights())
    assert all(len(line) <= 80 for line in lines if "compressor = " not in line)
    text = "\n".join(lines)
    for message in (
        "TESTED BY DELETION: agent, 20 contexts, 8 random draws each",
        "refuted*: not distinguishable from random",
        "ours: 20 of 20 trials (100% [84%, 100%]); 1 of 1 insights held",
        "layer 3, ours: no trial in 1 of 20 samples: nothing is dropped",
        "return: whole 3.500, suggested 2.500, random 1.500 (8 goals)",
        "   lost against the whole: +1.000 [+1.000, +1.000]\n   better than random by +1.000 [+1.000, +1.000]\n"
        "   held (better than random)\n   uniform, which keeps as many, 3.000: better than it by\n"
        "      -0.500 [-0.500, -0.500]",
        "refuted: not distinguishable from random",
    ):
        assert message in text
    assert "ours: no trials" in "\n".join(verification_lines(verification_of()))


def test_one_draw_and_one_sample_are_no_plurals() -> None:
    alone = replace(three_insights(), n_samples=1, n_draws=1)
    assert verification_lines(alone)[0] == "TESTED BY DELETION: agent, 1 context, 1 random draw each"
    assert "1 sample, 1 random draw each;" in alone.caption
