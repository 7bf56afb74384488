"""Figures as SVG: for a file, and for inside a page that may be light or dark. The same figure, the same bytes."""

import io
import re
from xml.etree import ElementTree as ET

import matplotlib as mpl
from matplotlib.figure import Figure

from study.figures.style import BAD, COLOURS, FONT, INK, LINE, MUTED

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
THEME = {INK: "ink", MUTED: "muted", LINE: "line", BAD: "bad", "#ffffff": "paper"} | {
    colour: f"c{place}" for place, colour in enumerate(COLOURS)
}
"""Which of the page's colours stands for which of the figures'."""
BACKGROUND = "patch_1"  # matplotlib's name for the figure's own rectangle, the first that it draws
ET.register_namespace("", SVG)
ET.register_namespace("xlink", XLINK)


def svg_text(figure: Figure, salt: str) -> str:
    """The figure as an SVG file, on white.

    Args:
        figure: with one axes.
        salt: the names inside of the file follow from its contents and this.

    Returns:
        The text of the file.
    """
    buffer = io.StringIO()
    figure.axes[0].patch.set_visible(False)
    with mpl.rc_context({**FONT, "svg.hashsalt": salt, "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return buffer.getvalue()


def inline(text: str, label: str) -> str:
    """The SVG as an element of an HTML page: background and colours are the page's, its names no longer in the way.

    Args:
        text: of an SVG file that `svg_text` made.
        label: said to people who do not see it.

    Returns:
        The element.
    """
    root = ET.fromstring(text)  # noqa: S314 — our own
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style") or child.get("id") == BACKGROUND:
                parent.remove(child)
    for element in root.iter(f"{{{SVG}}}g"):
        element.attrib.pop("id", None)
    for element in root.iter():
        style = element.get("style")
        if style:
            element.set("style", _themed(style))
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-label", label)
    root.set("class", "plot")
    return ET.tostring(root, encoding="unicode")


def _themed(style: str) -> str:
    """A style with the page's colours and the page's font."""
    style = re.sub(r"font-family: [^;]*;? ?", "", style)
    style = re.sub(r"#[0-9a-f]{6}", lambda match: _colour(match.group()), style)
    return re.sub(r"font: ([\d.]+px) [^;]*", r"font-size: \1", style)


def _colour(code: str) -> str:
    return f"var(--{THEME[code]}, {code})" if code in THEME else code
