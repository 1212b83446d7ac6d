"""The pictures of a comparison: which files are drawn, what is said of them, and their names."""

from dataclasses import replace
from pathlib import Path

import torch

from keepmap.commands.comparing.pictures import draw_method, picture_files
from keepmap.core.keep_map import KeepMap
from keepmap.kv.comparison.plan import plan_methods


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
    assert lines[4:10] == [
        "    Entries (layer x KV head x token): 87.50% (42/48 kept)",
        "    Compressible entries: 75.00% (18/24 kept)",
        "    Tokens, each by the majority of its entries:",
        "    Tokens visualized: 12",
        "    Overall density: 100.00% (12/12 kept)",
        "    Protected tokens: 6 (sinks=2, window=4)",
    ]
    assert lines[11] == "    (of the first text, as drawn; those above are of all texts, in entries)"
    assert lines[-1] == f"  Saved layers and heads to: {tmp_path / stems[1]}.svg"


def test_under_a_threshold_the_guide_s_lines_come_first(tmp_path: Path) -> None:
    lines = draw_method(replace(keep_map(), threshold=0.5), "Mine", tmp_path, ("png",))
    assert lines[3] == "    Tokens visualized: 12" and lines[7].startswith("    Entries (layer x KV head x token): ")
    assert not any("majority" in line for line in lines)


def test_pictures_are_named_before_they_are_drawn(tmp_path: Path) -> None:
    plans = plan_methods("h2o random_validation").methods
    names = picture_files(plans, ("png", "svg"))
    assert names[:2] == ["H2O_compression_heatmap.png", "H2O_compression_heatmap.svg"] and len(names) == 8
    for plan in plans:
        draw_method(keep_map(), plan.label, tmp_path, ("png", "svg"))
    assert {path.name for path in tmp_path.iterdir()} == set(names)
