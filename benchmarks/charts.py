"""Bars of all comparisons of a run, beside its JSON."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Comparison, duration, note

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FORMATS = ("svg", "png")


def draw(path: Path, comparisons: Sequence[Comparison]) -> list[Path]:
    """Draw one panel a comparison, a bar for each median and a line for each minimum.

    Args:
        path: the JSON file; the pictures stand beside it.
        comparisons: what to draw.

    Returns:
        The files; none without matplotlib or without comparisons.
    """
    if not comparisons:
        return []
    try:
        import matplotlib as mpl
    except ImportError:
        note("no bars are drawn: matplotlib is missing (pip install helion-msl[bench])")
        return []
    mpl.use("agg")
    from matplotlib import pyplot as plt

    heights = [1.2 + 0.3 * len(comparison.timings) for comparison in comparisons]
    figure, panels = plt.subplots(
        len(comparisons), 1, figsize=(9, sum(heights)), squeeze=False, height_ratios=heights, layout="constrained"
    )
    for panel, comparison in zip(panels[:, 0], comparisons, strict=True):
        _draw_one(panel, comparison)
    files = [path.with_suffix(f".{suffix}") for suffix in FORMATS]
    for file in files:
        figure.savefig(file)
    plt.close(figure)
    return files


def _draw_one(panel: Any, comparison: Comparison) -> None:
    names = list(comparison.timings)
    medians = [comparison.timings[name].median for name in names]
    minima = [comparison.timings[name].minimum for name in names]
    colors = ["#9a9a9a" if name == comparison.yardstick else "#2f6fb3" for name in names]
    places = range(len(names))
    bars = panel.barh(places, medians, color=colors)
    panel.vlines(minima, [p - 0.4 for p in places], [p + 0.4 for p in places], color="black")
    labels = [f" {duration(seconds).strip()}" for seconds in medians]
    panel.bar_label(bars, labels, fontsize="small")
    panel.set_yticks(places, names, fontsize="small")
    panel.invert_yaxis()
    panel.set_title(comparison.title, fontsize="medium", loc="left")
    panel.set_xlabel("seconds: bar median, line minimum; grey what the ratios refer to", fontsize="x-small")
    if max(medians) > 20 * min(medians):
        panel.set_xscale("log")
        panel.set_xlim(10 ** math.floor(math.log10(min(minima)) - 0.1), 4 * max(medians))
    else:
        panel.set_xlim(0, 1.15 * max(medians))
