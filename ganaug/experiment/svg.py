"""SVG drawings as parts of a page: its colours, in light and dark, its fonts, and words for each of them."""

import io
import re
import warnings
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")

INK, MUTED, LINE, PAPER, BLUE, ORANGE = "#101214", "#5a6068", "#c9ced4", "#fdfdfc", "#1d5f9e", "#b4530a"
VARIABLES = {INK: "ink", MUTED: "muted", LINE: "line", PAPER: "paper", BLUE: "blue", ORANGE: "orange"}
"""Colours that the page sets, by the one drawn with."""

WIDE = 4.7
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ganaug",
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "axes.labelsize": 10,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "hatch.linewidth": 0.7,
    "hatch.color": MUTED,
}
CONTROLS = {
    *map(chr, range(32)),
    *map(chr, range(127, 160)),
    *"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
}


def in_style(draw: Callable[P, Markup]) -> Callable[P, Markup]:
    """Return a function that draws in `STYLE`, whatever style the caller has set."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Markup:
        import matplotlib as mpl

        with mpl.rc_context(), warnings.catch_warnings():
            mpl.rcdefaults()
            mpl.rcParams.update(STYLE)  # type: ignore[arg-type]
            warnings.filterwarnings("ignore", "(?s).*missing from font")  # the browser has other fonts
            return draw(*args, **kwargs)

    return drawn


def new_figure(width: float, height: float) -> "tuple[Figure, Axes]":
    """Return a figure of so many inches, outside of pyplot, and its only axes."""
    from matplotlib.figure import Figure

    fig = Figure(figsize=(width, height), layout="constrained")
    return fig, fig.add_subplot()


def as_svg(fig: "Figure", alt: str) -> Markup:
    """Return a figure as an element of a page, in the page's colours and font, with words for it."""
    file = io.StringIO()
    fig.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    text = re.sub(r"(?s)^.*?<svg ", "<svg ", text)
    text = re.sub(r"(?s)<metadata>.*?</metadata>|<style .*?</style>", "", text)
    text = re.sub(r' id="[a-z0-9]+_\d+"', "", text)
    text = re.sub(r"font: (?:(bold|[0-9]{3}) )?([\d.]+)px [^;\"]*", _font, text)
    text = re.sub(r"(fill|stroke): (#[0-9a-f]{6})", _variable, text)
    width = float(re.search(r' width="([\d.]+)pt"', text).group(1))  # type: ignore[union-attr]
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)
    label = f'<svg role="img" aria-label="{escape(alt)}" style="max-width: {width * 1.5:.0f}px" '
    return Markup(text.replace("<svg ", label, 1))


def standalone(picture: Markup) -> str:
    """Return what `as_svg` gave as a file of its own, in the light colours."""
    colours = "".join(f"--{name}: {colour}; " for colour, name in VARIABLES.items())
    style = f"<style>svg {{ {colours}background: {PAPER}; font-family: sans-serif }}</style>"
    width, height = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', picture).groups()  # type: ignore[union-attr]
    opening, rest = str(picture).split(">", 1)
    return f'{opening} width="{width}pt" height="{height}pt">{style}{rest}'


def _font(found: re.Match[str]) -> str:
    weight = f"font-weight: {found[1]}; " if found[1] else ""
    return f"{weight}font-size: {found[2]}px"


def _variable(found: re.Match[str]) -> str:
    return f"{found[1]}: var(--{VARIABLES[found[2]]})" if found[2] in VARIABLES else found[0]


def plain_label(name: str, length: int = 26) -> str:
    """Return a name on one line, without control letters, cut in the middle to a length."""
    flat = " ".join("".join(" " if ch in CONTROLS else ch for ch in name).split())
    end = (length - 1) // 3
    return flat if len(flat) <= length else f"{flat[: length - 1 - end]}…{flat[-end:]}"


def distinct_labels(names: Sequence[str], length: int) -> list[str]:
    """Return labels of names, without the beginning that all share where they would be cut to the same."""
    labels = [plain_label(name, length) for name in names]
    if len(set(labels)) == len(labels):
        return labels
    letters = zip(*names, strict=False)
    shared = next((i for i, found in enumerate(letters) if len(set(found)) > 1), 0)
    return [plain_label(f"…{name[shared:]}", length) for name in names]


def signed(value: float, digits: int) -> str:
    """Return a number with its sign, a true minus among them."""
    return f"{value:+z.{digits}f}".replace("-", "−")
