"""What every result with rows can do."""

import csv
import io
import sys

import pytest

from keepmap.core.result_table import ResultTable
from keepmap.errors import InputError, OutputError


class Fruits(ResultTable):
    """Two rows, one value of which is missing."""

    rows = (
        {"name": "fig & <co>", "mass": 1.23456789, "count": 3, "ripe": True},
        {"name": 'a "b", c\n', "mass": None, "count": 12345678, "ripe": False},
    )
    columns = ("name", "mass", "count")
    caption = "Fruits & more"


class NoFruits(ResultTable):
    """No rows, of which it is known what each would hold."""

    rows = ()
    columns = ("name", "mass", "count")


class Nothing(ResultTable):
    """No rows."""

    rows = ()


def test_csv_holds_every_column_and_can_be_read_back(tmp_path):
    text = Fruits().to_csv(tmp_path / "fruits.csv")
    assert (tmp_path / "fruits.csv").read_bytes() == text.encode()
    read = list(csv.DictReader(io.StringIO(text)))
    assert list(read[0]) == ["name", "mass", "count", "ripe"]
    assert (read[0]["mass"], read[1]["name"], read[1]["mass"]) == ("1.23456789", 'a "b", c\n', "")
    assert Nothing().to_csv() == "" and NoFruits().to_csv() == "name,mass,count\n"
    with pytest.raises(OutputError):
        Fruits().to_csv(tmp_path / "missing" / "fruits.csv")


def test_a_data_frame_has_the_rows():
    frame = Fruits().to_pandas()
    assert list(frame.columns) == ["name", "mass", "count", "ripe"] and frame["count"].tolist() == [3, 12345678]
    assert list(NoFruits().to_pandas().columns) == ["name", "mass", "count"]


def test_without_pandas_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match=r"keepmap\[pandas\]"):
        Fruits().to_pandas()


def test_latex_escapes_and_rounds():
    lines = Fruits().to_latex().splitlines()
    assert lines[0] == r"\begin{tabular}{lrr}"
    assert lines[2] == r"name & mass & count \\"
    assert lines[4] == r"fig \& <co> & 1.235 & 3 \\"
    assert r" & – & 12345678 \\" in lines


def test_html_shows_the_columns_escaped():
    html = Fruits()._repr_html_()
    assert "<caption>Fruits &amp; more</caption>" in html
    assert "<th>name</th><th>mass</th><th>count</th></tr>" in html and "ripe" not in html
    assert "<td>fig &amp; &lt;co&gt;</td><td>1.235</td><td>3</td>" in html
    assert "<caption>Nothing</caption>" in Nothing()._repr_html_()
    assert Nothing().columns == ()
