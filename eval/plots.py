"""Figures of the report, each a function of plain values that returns an <img> or <svg> string.

Every figure is drawn the same way twice: no clock, no random ids.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aligner.core import Word
from aligner.metrics import Interval

COLOURS = ("#0b5fa5", "#d95f02", "#1b9e77", "#7570b3", "#666666", "#a6761d")  # told apart by the colour-blind
FAMILY_COLOURS = {
    "preset": "#d95f02",
    "single head": "#9ecae1",
    "layer mean": "#1b9e77",
    "last layers": "#006d2c",
    "top heads of the utterance": "#7570b3",
    "alignment heads": "#0b5fa5",
    "steps": "#c7c7c7",
    "pauses": "#a6761d",
    "units": "#e6ab02",
    "timing": "#17becf",
    "baseline": "#000000",
    "peer": "#e7298a",
    "cross-validated": "#e41a1c",
}


def panels(width: float, height: float, rows: int = 1, columns: int = 1, **settings: Any) -> tuple[Any, Any]:
    """A figure in the report's look, and its axes as `pyplot.subplots` gives them; width and height in inches."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update(
        {
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "svg.hashsalt": "align-eval",
            "svg.fonttype": "path",
            "figure.constrained_layout.use": True,
        }
    )
    return pyplot.subplots(rows, columns, figsize=(width, height), **settings)


def svg(figure: Any, label: str) -> str:
    """A figure as an SVG element with a label for readers who cannot see it; the figure is closed."""
    from matplotlib import pyplot

    handle = io.StringIO()
    figure.savefig(handle, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    text = handle.getvalue()
    return text[text.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{label}" {_least(figure)}', 1)


def _least(figure: Any) -> str:
    """The width below which a narrow window scrolls a figure: words any smaller could not be read."""
    return f'style="min-width: {0.75 * 96 * figure.get_figwidth():.0f}px"'


def _png(figure: Any, label: str) -> str:
    from matplotlib import pyplot

    handle = io.BytesIO()
    figure.savefig(handle, format="png", dpi=130, metadata={"Software": None})
    pyplot.close(figure)
    data = base64.b64encode(handle.getvalue()).decode()
    return f'<img alt="{label}" {_least(figure)} src="data:image/png;base64,{data}">'


def intervals(rows: Sequence[tuple[str, str, Interval]], unit: str = "ms") -> str:
    """Dots with 95 % intervals, best on top.

    Parameters
    ----------
    rows : sequence of (name, family, Interval in seconds)
    """
    figure, axes = panels(9.0, 0.6 + 0.27 * len(rows))
    for family in dict.fromkeys(row[1] for row in rows):
        axes.plot([], [], "o", color=FAMILY_COLOURS.get(family, "#555555"), label=family)
    for k, (_, family, found) in enumerate(rows):
        colour = FAMILY_COLOURS.get(family, "#555555")
        axes.plot([1000 * found.low, 1000 * found.high], [k, k], color=colour, linewidth=2.5, alpha=0.55)
        axes.plot(1000 * found.value, k, "o", color=colour, markersize=6)
        axes.annotate(
            f"{1000 * found.value:.1f}",
            (1000 * found.value, k),
            textcoords="offset points",
            xytext=(0, 5),
            ha="center",
            fontsize=7,
        )
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.8)
    axes.set_xlim(left=0)
    axes.set_xlabel(f"micro boundary error ({unit}), mean of onsets and offsets; line: 95 % interval")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7, frameon=False)
    return svg(figure, "boundary error of the main systems with intervals")


def heat_maps(onset: NDArray[np.float64], offset: NDArray[np.float64]) -> str:
    """Mean absolute error per head: two panels of layers by heads.

    Parameters
    ----------
    onset, offset : float64 arrays, shape (layers, heads + 1)
        Seconds; the last column is the mean of the layer's heads as one map. NaN where unknown.
    """
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import LogLocator

    layers, columns = onset.shape
    cell = 0.52 if columns <= 10 else 0.36
    figure, axes = panels(min(11.0, 1.8 + 2 * cell * (columns + 1.2)), 1.2 + cell * layers, 1, 2, squeeze=False)
    both = 1000 * np.stack([onset, offset])
    low, high = np.nanmin(both), np.nanmax(both)
    for axis, values, title in zip(axes[0], both, ("onset", "offset"), strict=True):
        image = axis.imshow(values, cmap="viridis_r", norm=LogNorm(low, max(high, low + 1)), aspect="auto")
        for (layer, column), value in np.ndenumerate(values):
            if np.isfinite(value) and columns <= 18:
                dark = value > (low * high) ** 0.5
                axis.text(
                    column,
                    layer,
                    f"{value:.0f}",
                    ha="center",
                    va="center",
                    fontsize=7,
                    color="white" if dark else "black",
                )
        axis.axvline(columns - 1.5, color="white", linewidth=3)
        axis.set_xticks(range(columns), [*map(str, range(columns - 1)), "mean"], fontsize=7)
        axis.set_yticks(range(layers))
        axis.set_xlabel("head")
        axis.set_ylabel("decoder layer")
        axis.set_title(f"{title}, mean absolute error (ms)", fontsize=9)
        bar = figure.colorbar(image, ax=axis, shrink=0.9, ticks=LogLocator(subs=(1, 2, 5)), format="%d")
        bar.minorticks_off()
    return svg(figure, "timing error of every head")


def cumulative(errors: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]) -> str:
    """Share of words within a tolerance, onset and offset.

    Parameters
    ----------
    errors : mapping of name to (onset, offset) signed errors in seconds
    """
    figure, axes = panels(9.6, 3.2, 1, 2, sharey=True)
    grid = np.linspace(0, 0.25, 251)
    for side, (axis, title) in enumerate(zip(axes, ("onset", "offset"), strict=True)):
        for k, (name, both) in enumerate(errors.items()):
            share = (np.abs(both[side])[:, None] <= grid + 1e-9).mean(0)
            axis.plot(1000 * grid, 100 * share, color=COLOURS[k % len(COLOURS)], label=name, linewidth=1.8)
        for tolerance in (20, 50, 100):
            axis.axvline(tolerance, color="#bbbbbb", linewidth=0.7, zorder=0)
        axis.set_xlabel(f"tolerance (ms), {title}")
        axis.set_xlim(0, 250)
        axis.set_ylim(0, 100)
        axis.grid(alpha=0.25)
    axes[0].set_ylabel("share of matched words (%)")
    axes[1].legend(loc="lower right", fontsize=8)
    return svg(figure, "cumulative error curves")


def distributions(errors: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]) -> str:
    """Histograms of signed errors, onset and offset."""
    figure, axes = panels(9.6, 3.0, 1, 2, sharey=True)
    bins = np.arange(-0.205, 0.2051, 0.01)
    for side, (axis, title) in enumerate(zip(axes, ("onset", "offset"), strict=True)):
        for k, (name, both) in enumerate(errors.items()):
            outside = float((np.abs(both[side]) > 0.205).mean())
            counts, edges = np.histogram(both[side], bins)
            axis.stairs(
                100 * counts / max(1, len(both[side])),
                1000 * edges,
                color=COLOURS[k % len(COLOURS)],
                label=f"{name} ({100 * outside:.0f} % outside)",
                linewidth=1.6,
            )
        axis.axvline(0, color="#888888", linewidth=0.7)
        axis.set_xlim(-205, 205)
        axis.set_xlabel(f"{title} error (ms): early < 0 < late")
        axis.legend(loc="upper left", fontsize=7, frameon=False)
    axes[0].set_ylabel("share of matched words (%)")
    axes[0].set_ylim(top=axes[0].get_ylim()[1] * 1.45)
    return svg(figure, "distributions of signed errors")


def onset_against_offset(rows: Sequence[tuple[str, str, float, float]], named: Sequence[str]) -> str:
    """One dot per system, on logarithmic axes.

    Parameters
    ----------
    rows : sequence of (name, family, onset, offset)
        Mean absolute errors in seconds.
    named : sequence of str
        Systems to write the name of.
    """
    from matplotlib.ticker import LogLocator, NullLocator, ScalarFormatter

    figure, axis = panels(7.4, 5.0)
    x, y = (1000 * np.array([row[k] for row in rows]) for k in (2, 3))
    low, high = 0.9 * min(x.min(), y.min()), 1.15 * max(x.max(), y.max())
    for family in dict.fromkeys(row[1] for row in rows):
        mine = np.array([row[1] == family for row in rows])
        colour = FAMILY_COLOURS.get(family, "#555555")
        axis.scatter(x[mine], y[mine], s=22, label=family, color=colour, edgecolors="white", linewidths=0.4)
    labelled = [(name, 1000 * a, 1000 * b) for name, _, a, b in rows if name in named]
    for k, (name, a, b) in enumerate(sorted(labelled, key=lambda item: item[2])):
        # Labels stand in a column on the right, in the order of their dots, so that none covers another.
        place = (0.62, 0.03 + 0.045 * k)
        axis.annotate(
            name, (a, b), xytext=place, textcoords="axes fraction", fontsize=7, va="center",
            arrowprops={"arrowstyle": "-", "color": "#999999", "linewidth": 0.5, "shrinkB": 3},
        )  # fmt: skip
    axis.plot([low, high], [low, high], color="#bbbbbb", linewidth=0.8, zorder=0)
    axis.set_xscale("log")
    axis.set_yscale("log")
    for direction in (axis.xaxis, axis.yaxis):
        direction.set_major_locator(LogLocator(subs=(1, 2, 5)))
        direction.set_major_formatter(ScalarFormatter())
        direction.set_minor_locator(NullLocator())
    axis.set_xlim(low, high)
    axis.set_ylim(low, high)
    axis.set_xlabel("onset, mean absolute error (ms)")
    axis.set_ylabel("offset, mean absolute error (ms)")
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7, frameon=False)
    return svg(figure, "onset error against offset error of every system")


def factors(tables: Mapping[str, Mapping[str, Sequence[tuple[str, int, Interval]]]]) -> str:
    """Error by some property of the words: a panel per property, a series per system.

    Parameters
    ----------
    tables : mapping of property to mapping of system to (category, words, Interval in seconds)
    """
    figure, axes = panels(10.4, 3.1 * -(-len(tables) // 2), -(-len(tables) // 2), 2, squeeze=False)
    figure.get_layout_engine().set(hspace=0.06)
    for axis, (title, systems) in zip(axes.flat, tables.items(), strict=False):
        for k, (name, rows) in enumerate(systems.items()):
            where = np.arange(len(rows)) + (k - (len(systems) - 1) / 2) * 0.22
            values = 1000 * np.array([found.value for _, _, found in rows])
            low = values - 1000 * np.array([found.low for _, _, found in rows])
            high = 1000 * np.array([found.high for _, _, found in rows]) - values
            axis.bar(where, values, 0.2, color=COLOURS[k % len(COLOURS)], label=name, alpha=0.85)
            spread = np.nan_to_num(np.maximum([low, high], 0))
            axis.errorbar(where, values, spread, fmt="none", ecolor="#333333", linewidth=0.8, capsize=2)
        first = next(iter(systems.values()))
        axis.set_xticks(range(len(first)), [f"{label}\n{count} words" for label, count, _ in first], fontsize=7)
        axis.set_xlim(-0.55, len(first) - 0.45)
        axis.set_title(title, fontsize=9)
        axis.set_ylabel("mean absolute error (ms)")
        axis.set_ylim(0, axis.get_ylim()[1] * 1.2)  # room for the legend
    for axis in list(axes.flat)[len(tables) :]:
        axis.set_visible(False)
    axes.flat[0].legend(fontsize=7, frameon=False)
    return svg(figure, "error by properties of the words")


def attention_picture(
    evidence: NDArray[np.floating[Any]],
    frame_duration: float,
    tokens: Sequence[str],
    path: tuple[Sequence[int], Sequence[int]],
    reference: Sequence[Word],
    estimated: Sequence[Word],
) -> str:
    """Attention with its path, under the reference and the estimated words.

    Parameters
    ----------
    evidence : float array, shape (tokens + 1, frames)
    frame_duration : float
        Seconds.
    tokens : sequence of str, length tokens + 1
    path : (tokens, frames)
    reference, estimated : sequence of Word
    """
    rows, frames = evidence.shape
    duration = frames * frame_duration
    height = min(10.0, 1.6 + 0.1 * rows)
    figure, (words, axis) = panels(
        10.4, height, 2, 1, sharex=True, gridspec_kw={"height_ratios": [0.75, max(1.0, height - 1.2)]}
    )
    for line, (name, found, colour) in enumerate((("gold", reference, "#1b9e77"), ("aligned", estimated, "#d95f02"))):
        for word in found:
            words.barh(-line, word.duration, left=word.start, height=0.8, color=colour, alpha=0.35, edgecolor=colour)
            room = 9.3 * 72 * word.duration / duration  # points
            words.text(
                (word.start + word.end) / 2,
                -line,
                word.text,
                ha="center",
                va="center",
                fontsize=max(4.5, min(6.5, 1.55 * room / max(1, len(word.text)))),
                clip_on=True,
            )
        words.text(-0.01 * duration, -line, name, ha="right", va="center", fontsize=7)
    words.set_ylim(-1.6, 0.6)
    words.axis("off")
    shown = np.asarray(evidence, float)
    shown = shown / np.maximum(np.abs(shown).max(1, keepdims=True), 1e-9)
    axis.imshow(shown, aspect="auto", cmap="Greys", extent=(0, duration, rows - 0.5, -0.5), interpolation="nearest")
    axis.plot((np.asarray(path[1]) + 0.5) * frame_duration, path[0], color="#0b5fa5", linewidth=1.1)
    for word in reference:
        axis.axvline(word.start, color="#1b9e77", linewidth=0.7)
        axis.axvline(word.end, color="#1b9e77", linewidth=0.7, linestyle=":")
    axis.set_xlim(0, duration)
    axis.set_yticks(range(rows), [t if t.strip() else "␣" for t in tokens], fontsize=max(3.0, min(7.0, 400 / rows)))
    axis.set_xlabel("seconds (each row divided by its peak; blue: path; green: gold onsets, dotted offsets)")
    axis.spines[["top", "right"]].set_visible(True)
    return _png(figure, "attention, path and gold words")
