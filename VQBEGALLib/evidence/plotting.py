"""How every figure looks, and matplotlib itself, loaded when a figure is drawn and without any window or global figure.

Colours are those of Okabe and Ito, which people with any kind of colour vision can tell apart.
"""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from VQBEGALLib.errors import MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE = "#0072B2"
SKY = "#56B4E9"
ORANGE = "#E69F00"
GREEN = "#009E73"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"
GREY = "#5F6B76"
LIGHT = "#C9D1D9"

ROLE_COLOURS = {"decoder": ORANGE, "encoder": BLUE, "all": GREEN}
ROLE_WORDS = {"decoder": "trains the decoder", "encoder": "trains the encoders", "all": "trains the whole network"}
MODALITY_COLOURS = {"primary": BLUE, "auxiliary": VERMILION}

ORGAN_COLOURS = (ORANGE, SKY, GREEN, PURPLE, VERMILION, BLUE, "#F0E442")
"""Colours of several organs, in turn. Those of anatomical atlases are too much alike: both kidneys have the same."""

PIXEL = 96.0
"""CSS pixels in an inch."""
SCALE = 2
"""Image pixels in a CSS pixel."""

_STYLE: dict[str, Any] = {
    "font.size": 10.0,
    "axes.titlesize": 11.0,
    "axes.labelsize": 10.0,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E7EB",
    "grid.linewidth": 0.8,
    "text.parse_math": False,
    "svg.hashsalt": "vqbegal",
}
_OTHER_SCRIPTS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Yu Gothic",
    "Microsoft YaHei",
    "Malgun Gothic",
    "Hiragino Sans",
    "Arial Unicode MS",
)
"""Fonts that have the letters which matplotlib's own lacks; those that are installed help out."""


@dataclass(frozen=True)
class Picture:
    """A finished figure.

    Args:
        name: stem of its file.
        png: the file's bytes.
        width: at which it is shown, CSS pixels; the image has twice as many.
        alt: what it shows, for those who cannot see it.
        svg: the same as a vector graphic, where there is one.
    """

    name: str
    png: bytes
    width: int
    alt: str
    svg: bytes = b""

    @property
    def source(self) -> str:
        """The image as a data URI."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode('ascii')}"


def need(package: str, extra: str = "report") -> MissingDependencyError:
    """Return the error that tells which library a report lacks, and which extra brings it."""
    return MissingDependencyError(
        f"{package}, which the report is made with, is not installed or cannot be loaded.",
        f'Run: python -m pip install "vqbegal[{extra}]"',
    )


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in the report's style, whatever a person's own matplotlib settings are.

    Raises:
        MissingDependencyError: matplotlib is not there.
    """
    try:
        import matplotlib
        from matplotlib import font_manager
    except ImportError as error:
        raise need("matplotlib") from error
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        installed = set(font_manager.get_font_names())
        families = ["DejaVu Sans", *(name for name in _OTHER_SCRIPTS if name in installed)]
        style: Any = {**_STYLE, "font.family": families}
        matplotlib.rcParams.update(style)
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a name in a script without any font
        yield


def new_figure(width: int, height: int) -> Figure:
    """Return an empty figure of a size in CSS pixels; call it inside :func:`drawing`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / PIXEL, height / PIXEL), dpi=PIXEL * SCALE, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def panels_of(figure: Figure, count: int, columns: int, *, sharex: bool = False, sharey: bool = False) -> list[Axes]:
    """Return the first ``count`` panels of a grid, row by row; those left over in the last row do not show."""
    rows = -(-count // columns)
    grid: list[Axes] = list(figure.subplots(rows, columns, sharex=sharex, sharey=sharey, squeeze=False).flat)
    for axes in grid[count:]:
        axes.set_visible(False)
    return grid[:count]


def finished(figure: Figure, name: str, alt: str, *, vector: bool = False) -> Picture:
    """Return a drawn figure as a picture, on request also as SVG; call it inside :func:`drawing`."""
    stream, drawn = io.BytesIO(), io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    if vector:
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    return Picture(name, stream.getvalue(), round(figure.get_figwidth() * PIXEL), alt, drawn.getvalue())


def grey_picture(image: npt.NDArray[np.float32], name: str, alt: str, *, width: int) -> Picture:
    """Return an image (R, C) of values from 0 to 1 pixel by pixel in grey; call it inside :func:`drawing`."""
    from matplotlib import image as images

    stream = io.BytesIO()
    images.imsave(stream, image, cmap="gray", vmin=0, vmax=1, format="png")
    return Picture(name, stream.getvalue(), width, alt)


def whole_numbers(axes: Axes) -> None:
    """Let the horizontal axis count."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))


def shortened(name: str, most: int = 26) -> str:
    """Return a name that fits a figure: its two ends where it is too long.

    Examples:
        >>> shortened("a patient with a very long name", 15)
        'a patie…ng name'
    """
    if len(name) <= most:
        return name
    half = (most - 1) // 2
    return f"{name[:half]}…{name[len(name) - half :]}"
