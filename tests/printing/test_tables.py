"""Tables of plain text: aligned, and cut into panels where the width ends."""

from keepmap.printing.tables import Column, panels, terminal_width

FIRST = Column("Name", ("a", "long name"))


def test_cells_are_aligned_under_their_titles():
    assert panels(FIRST, [Column("x", ("1.5", "-20"))], 80) == [
        "Name        x",
        "-------------",
        "a         1.5",
        "long name -20",
    ]


def test_what_does_not_fit_goes_into_a_further_panel_with_the_first_column():
    lines = panels(FIRST, [Column("x", ("1", "2")), Column("wide title", ("3", "4"))], 20)
    assert lines.count("") == 1 and lines[lines.index("") + 1] == "Name      wide title"
    assert all(len(line) <= 20 for line in lines)


def test_wide_characters_take_two_columns():
    assert Column("x", ("\u6f22",)).width() == 2
    assert panels(Column("", ("\u6f22", "ab")), [Column("n", ("1", "2"))], 80)[2:] == ["\u6f22 1", "ab 2"]


def test_a_pipe_is_80_columns_wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert terminal_width() == 80
    monkeypatch.setenv("COLUMNS", "120")
    assert terminal_width() == 120
