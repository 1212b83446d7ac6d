"""The pictures of a comparison: which files are drawn, what is said of them, and which are cleared."""

from pathlib import Path

import torch

from keepmap.commands.compare_pictures import clear_pictures, draw_method
from keepmap.core.keep_map import KeepMap


def keep_map() -> KeepMap:
    expires = torch.full((2, 2, 12), 12)
    expires[:, 0, 3:6] = 9
    return KeepMap(expires, torch.zeros(2, 2, 12), n_sink=2, window=4)


def test_both_figures_are_drawn_in_every_format_and_said(tmp_path: Path) -> None:
    lines = draw_method(keep_map(), "Random(threshold=1.0)", tmp_path, ("png", "svg"))
    stems = [f"Random_threshold_1.0__{figure}" for figure in ("compression_heatmap", "keepmap_layers")]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{stem}.{name}" for stem in stems for name in ("png", "svg")
    ]
    assert lines[:2] == ["", "Generating compression visualization for Random(threshold=1.0)..."]
    assert lines[2] == f"  Saved visualization to: {tmp_path / stems[0]}.png"
    assert "    Tokens visualized: 12" in lines
    assert lines[-1] == f"  Saved layers and heads to: {tmp_path / stems[1]}.svg"


def test_pictures_of_methods_are_cleared_and_no_others(tmp_path: Path) -> None:
    ours = ["H2O_compression_heatmap.png", "Random_threshold_1.0__keepmap_layers.pdf"]
    theirs = ["H2O_compression_heatmap.gif", "mine_keepmap_layers.png"]
    for name in (*ours, *theirs):
        (tmp_path / name).touch()
    clear_pictures(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == theirs
    clear_pictures(tmp_path / "nothing")
