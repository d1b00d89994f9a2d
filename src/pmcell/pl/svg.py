"""Figures as small, deterministic, accessible SVG for pages.

matplotlib writes ids that repeat from figure to figure, a date, and heavy
embedded images. Here ids that nobody refers to go, the others get the
figure's name, images are reduced to 256 colours, and the figure carries a
title for screen readers. Text stays text.
"""

from __future__ import annotations

import base64
import io
import re
import warnings
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from pmcell.pl.style import styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RASTER_DPI = 144
"""Twice the pixels of the page, for sharp points on dense screens."""

FONT_SCALE = 1.1
"""Figures are laid out for DejaVu Sans; the sans fonts of pages are this much narrower."""

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FONT_SIZE = re.compile(r"([\d.]+)px")
_DECIMALS = re.compile(r"-?\d+\.\d{3,}(?![\de])")
_FONTS = "'Segoe UI', 'Helvetica Neue', Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"


@styled
def to_svg(figure: Figure, *, name: str, title: str) -> str:
    """One `<svg>` element; `name` prefixes its ids and `title` is read by screen readers.

    Equal figures give equal text: there is no date, and ids come from `name`.
    """
    import matplotlib as mpl

    _prepare_texts(figure)
    buffer = io.StringIO()
    with warnings.catch_warnings(), mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        # The reader's browser has fonts for what DejaVu Sans lacks.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(buffer, format="svg", dpi=RASTER_DPI, metadata={"Date": None})
    return _clean(buffer.getvalue(), name, title)


def _prepare_texts(figure: Figure) -> None:
    """Path effects turn text into outlines in SVG; `paint-order` does the same and keeps text.

    Characters that XML cannot hold (a name may contain any) become U+FFFD.
    """
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        if _NOT_XML.search(text.get_text()):
            text.set_text(_NOT_XML.sub("\ufffd", text.get_text()))
        if text.get_path_effects():
            text.set_path_effects([])
            text.set_gid("halo")


def _clean(source: str, name: str, title: str) -> str:
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.fromstring(source)
    for metadata in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(metadata)
    _rename_ids(root, name)
    for element in root.iter():
        for key in ("d", "x", "y", "transform"):
            if key in element.attrib:
                element.set(key, _DECIMALS.sub(_rounded, element.attrib[key]))
        style = element.get("style")
        if style and "'DejaVu Sans'" in style:
            larger = _FONT_SIZE.sub(_enlarged, style)
            element.set("style", larger.replace("'DejaVu Sans'", _FONTS))
        if element.tag == f"{{{_SVG}}}image":
            _shrink_image(element)
    root.set("role", "img")
    root.set("aria-label", title)
    width = re.match(r"[\d.]+", root.get("width") or "")
    root.attrib.pop("width", None)
    root.attrib.pop("height", None)
    if width:
        root.set("data-width", str(round(float(width.group()))))
    return ElementTree.tostring(root, encoding="unicode")


def _rename_ids(root: ElementTree.Element, name: str) -> None:
    used = set(re.findall(r"#([\w-]+)", " ".join(_references(root))))
    for element in root.iter():
        identifier = element.attrib.pop("id", None)
        if identifier == "halo":
            for text in element.iter(f"{{{_SVG}}}text"):
                halo = (
                    "paint-order: stroke; stroke: #fff; stroke-width: 3px; stroke-linejoin: round"
                )
                text.set("style", f"{text.get('style', '')}; {halo}")
        elif identifier in used:
            element.set("id", f"{name}-{identifier}")
        for key, value in element.attrib.items():
            if key == f"{{{_XLINK}}}href" and value.startswith("#"):
                element.set(key, f"#{name}-{value[1:]}")
            elif "url(#" in value:
                element.set(key, value.replace("url(#", f"url(#{name}-"))


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number.group()):.2f}".rstrip("0").rstrip(".")


def _enlarged(size: re.Match[str]) -> str:
    return f"{float(size.group(1)) * FONT_SCALE:.1f}px"


def _references(root: ElementTree.Element) -> list[str]:
    return [value for element in root.iter() for value in element.attrib.values() if "#" in value]


def _shrink_image(element: ElementTree.Element) -> None:
    """Re-encode an embedded PNG with a palette of 256 colours."""
    from PIL import Image

    key = f"{{{_XLINK}}}href"
    head, _, data = element.get(key, "").partition("base64,")
    if not head.startswith("data:image/png"):
        return
    image = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA")
    small = image.quantize(256, method=Image.Quantize.FASTOCTREE)
    buffer = io.BytesIO()
    small.save(buffer, format="PNG", optimize=True)
    encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
    if len(encoded) < len(data):
        element.set(key, f"data:image/png;base64,{encoded}")
