"""The look of pmcell's figures: sizes in pixels, quiet axes, colour-blind-safe colours.

Figures are laid out in CSS pixels, so that a figure made for a page of 860
pixels has letters of the size of the page's own. No global state is touched:
`styled` sets matplotlib's parameters for the length of one call.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from pmcell.schema import UNKNOWN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

PIXELS_PER_INCH = 72
INK = "#1d232b"
MUTED = "#5f6b78"
FAINT = "#c9d0d8"
GRID = "#e6eaee"
WASH = "#f4f6f8"
ACCENT = "#0b4a86"
WARN = "#b3420b"
NEUTRAL = "#c4c9cf"
HINTING = 1.07
"""Browsers set letters on whole pixels, which takes up to this much more room."""

FEW = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7A5195")
"""Okabe and Ito's colours (https://jfly.uni-koeln.de/color/) without yellow and black."""

MANY = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#332288", "#999933",
    "#882255", "#44AA99", "#DDCC77", "#AA4499", "#117733", "#88CCEE", "#CC6677", "#6F4E7C",
    "#B8860B", "#5C8A8A", "#9C5B3B", "#8FA8DC", "#7FBC41", "#F4A582", "#4D4D4D", "#C994C7",
)  # fmt: skip
"""Okabe and Ito's colours followed by Tol's muted ones and others; label them directly."""

_PARAMETERS: Any = {
    "font.family": ["DejaVu Sans"],
    "font.size": 11,
    "text.color": INK,
    "text.parse_math": False,
    "text.usetex": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 12,
    "axes.labelsize": 11,
    "axes.axisbelow": True,
    "axes.unicode_minus": False,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "xtick.major.width": 0.8,
    "ytick.major.width": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "none",
}

P = ParamSpec("P")
R = TypeVar("R")


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Run `function` under pmcell's figure parameters, leaving the caller's untouched."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        import matplotlib as mpl

        with mpl.rc_context(_PARAMETERS):
            return function(*args, **kwargs)

    return wrapper


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of `width` × `height` pixels, outside matplotlib's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(
        figsize=(width / PIXELS_PER_INCH, height / PIXELS_PER_INCH), dpi=PIXELS_PER_INCH
    )
    FigureCanvasAgg(figure)
    return figure


def panel(
    figure: Figure,
    left: float,
    top: float,
    width: float,
    height: float,
    *,
    title: str = "",
    **options: Any,
) -> Axes:
    """Axes at a place in pixels from the figure's top left corner; the title stands above."""
    page_width, page_height = (figure.get_size_inches() * PIXELS_PER_INCH).tolist()
    axes = figure.add_axes(
        (
            left / page_width,
            1 - (top + height) / page_height,
            width / page_width,
            height / page_height,
        ),
        **options,
    )
    if title:
        axes.set_title(title, loc="left", color=INK, fontsize=11, fontweight="bold", pad=6)
    return axes


def palette(names: Iterable[str]) -> dict[str, str]:
    """A colour for each name, in the order given; `unknown` and the like are grey.

    >>> palette(["unknown", "B cell"])
    {'unknown': '#c4c9cf', 'B cell': '#0072B2'}
    """
    return palettes({"": names})[""]


def palettes(variables: Mapping[str, Iterable[str]]) -> dict[str, dict[str, str]]:
    """Colours for the names of several variables; none stands for two names while they last.

    >>> palettes({"stratum": ["S1"], "cohort": ["a"]})
    {'stratum': {'S1': '#0072B2'}, 'cohort': {'a': '#E69F00'}}
    """
    every = {variable: list(dict.fromkeys(names)) for variable, names in variables.items()}
    named = [(key, name) for key, names in every.items() for name in names if not is_unknown(name)]
    colours = FEW if len(named) <= len(FEW) else MANY
    chosen = {both: colours[i % len(colours)] for i, both in enumerate(named)}
    return {
        key: {name: chosen.get((key, name), NEUTRAL) for name in names}
        for key, names in every.items()
    }


def is_unknown(name: str) -> bool:
    """Whether a label stands for a missing value."""
    return name.strip().lower() in {UNKNOWN, "", "nan", "none", "not available", "not assigned"}


def sequential() -> Colormap:
    """Light to dark blue; lightness falls evenly, so it survives greyscale printing."""
    from matplotlib.colors import LinearSegmentedColormap

    steps = ["#eef3f8", "#c3d8ea", "#86b5d8", "#3f86bd", "#0b4a86", "#08264d"]
    return LinearSegmentedColormap.from_list("pmcell_sequential", steps)


def diverging() -> Colormap:
    """Blue through white to orange, safe for red-green colour blindness."""
    from matplotlib.colors import LinearSegmentedColormap

    steps = ["#0b4a86", "#6ba3cf", "#f7f7f7", "#eda15c", "#a84b00"]
    return LinearSegmentedColormap.from_list("pmcell_diverging", steps)


def text_width(text: str, size: float = 11) -> float:
    """Width of a text in pixels in DejaVu Sans as browsers set it, wider than most sans fonts."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    if not text:
        return 0.0
    properties = FontProperties(family="DejaVu Sans", size=size)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        width, _, _ = text_to_path.get_text_width_height_descent(text, properties, ismath=False)
    return float(width) * HINTING


def widest(texts: Iterable[str], size: float = 11) -> float:
    """Width in pixels of the widest text; 0 for none."""
    return max((text_width(text, size) for text in texts), default=0.0)


def shorten(text: str, length: int = 32) -> str:
    """The text on one line, cut at `length` characters with an ellipsis.

    >>> shorten("CD16-positive, CD56-dim natural killer cell", 24)
    'CD16-positive, CD56-dim…'
    """
    text = " ".join(str(text).split())
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts '2' before '10'."""
    import re

    parts = re.findall(r"\d+|\D+", str(text))
    return tuple((0, int(p), "") if p.isdigit() and p.isascii() else (1, 0, p) for p in parts)


def in_order(values: Iterable[Any]) -> list[str]:
    """Distinct labels in natural order, unknown ones last."""
    labels = {str(value) for value in values}
    return sorted(labels, key=lambda label: (is_unknown(label), natural_key(label)))


def legend_row(
    figure: Figure, colours: dict[str, str], left: float, top: float, width: float
) -> float:
    """Draw swatches with labels in rows from `left`, `top`; return the height used in pixels."""
    from matplotlib.lines import Line2D
    from matplotlib.text import Text

    page_width, page_height = (figure.get_size_inches() * PIXELS_PER_INCH).tolist()
    x, y, row = 0.0, 0.0, 17.0
    for name, colour in colours.items():
        label = shorten(name, 40)
        need = 15 + text_width(label, 10) + 12
        if x and x + need > width:
            x, y = 0.0, y + row
        centre = 1 - (top + y + row / 2) / page_height
        figure.add_artist(
            Line2D(
                [(left + x + 5) / page_width],
                [centre],
                marker="o",
                markersize=7,
                markeredgewidth=0,
                color=colour,
                linestyle="none",
            )
        )
        figure.add_artist(
            Text(
                (left + x + 14) / page_width,
                centre,
                label,
                fontsize=10,
                color=INK,
                va="center_baseline",
                transform=figure.transFigure,
            )
        )
        x += need
    return y + row if colours else 0.0


def legend_height(names: Sequence[str], width: float) -> float:
    """Height in pixels that `legend_row` will use."""
    x, rows = 0.0, 1
    for name in names:
        need = 15 + text_width(shorten(name, 40), 10) + 12
        if x and x + need > width:
            x, rows = 0.0, rows + 1
        x += need
    return rows * 17.0 if names else 0.0
