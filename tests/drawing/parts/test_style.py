"""The colours stay apart for every reader: computed, not believed."""

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from keepmap.drawing.parts.style import (
    COMPRESSIBLE,
    EVICTED,
    KEPT,
    PROTECTED,
    SINK_LINE,
    WINDOW_LINE,
    figure_style,
    ramp,
)

# Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB.
VISION = {
    "full": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.119192, 0.9503041]]
)


def lab(colour: str, vision: str = "full") -> np.ndarray:
    """CIELAB (D65) of an sRGB colour, as seen with that vision."""
    encoded = np.array(to_rgb(colour))
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(VISION[vision] @ linear, 0, 1) / np.array([0.95047, 1.0, 1.08883])
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def apart(a: str, b: str, vision: str = "full") -> float:
    return float(np.linalg.norm(lab(a, vision) - lab(b, vision)))


def test_the_yardstick() -> None:
    np.testing.assert_allclose(lab("#FFFFFF"), [100, 0, 0], atol=0.02)
    assert apart("#2CA02C", "#D62728", "deuteranopia") < apart("#2CA02C", "#D62728") / 2


@pytest.mark.parametrize("vision", list(VISION))
def test_kept_and_evicted_stay_apart(vision: str) -> None:
    assert apart(KEPT, EVICTED, vision) > 45
    assert apart(PROTECTED, COMPRESSIBLE, vision) > 45


def test_kept_and_evicted_stay_apart_in_greyscale() -> None:
    assert lab(KEPT)[0] - lab(EVICTED)[0] > 28
    # Okabe-Ito's own pair does not.
    assert abs(lab("#009E73")[0] - lab("#D55E00")[0]) < 5


@pytest.mark.parametrize("vision", list(VISION))
def test_the_lines_stand_out_from_what_they_cross_and_from_each_other(vision: str) -> None:
    assert apart(SINK_LINE, WINDOW_LINE, vision) > 45
    for line in (SINK_LINE, WINDOW_LINE):
        assert apart(line, EVICTED, vision) > 20
        assert apart(line, KEPT, vision) > 20


def test_the_ramp_goes_from_evicted_to_kept_in_even_steps() -> None:
    colours = ramp(EVICTED, KEPT)
    names = ["#{:02X}{:02X}{:02X}".format(*colour) for colour in colours]
    assert (names[0], names[-1]) == (EVICTED, KEPT)
    for vision in VISION:
        lightness = np.array([lab(name, vision)[0] for name in names[::15]])
        assert (np.diff(lightness) > 0).all()
    share = (lab(names[128])[0] - lab(EVICTED)[0]) / (lab(KEPT)[0] - lab(EVICTED)[0])
    assert 0.4 < share < 0.6, "half kept looks halfway in greyscale"


def test_the_style_leaves_no_trace() -> None:
    before = dict(matplotlib.rcParams)
    with figure_style():
        assert matplotlib.rcParams["pdf.fonttype"] == 42
        assert matplotlib.rcParams["svg.fonttype"] == "none"
    assert dict(matplotlib.rcParams) == before
