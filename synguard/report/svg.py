"""Makes matplotlib's SVG fit to stand in a page: nothing fetched, no name twice, colours of the page."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from synguard.report.colours import COLOURS, IN_THE_DARK, variable

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_HREF = f"{{{_XLINK}}}href"
#: All that a plot is made of. Anything else, a link or a script above all, is none of ours.
_ELEMENTS = ("svg", "g", "path", "text", "tspan", "defs", "clipPath", "rect", "use", "pattern")
_ATTRIBUTES = (
    "id", "d", "style", "transform", "clip-path", "x", "y", "width", "height", "viewBox", "patternUnits",
    "fill", _HREF,
)  # fmt: skip
_REFERENCE = re.compile(r"url\(#([\w-]+)\)")
_COLOUR = re.compile(r"#[0-9a-f]{6}\b")
#: More digits than a screen has room for.
_LONG_NUMBER = re.compile(r"-?\d+\.\d{2,}")
_VARIABLE = {*IN_THE_DARK, *COLOURS.values()}


def inline(document: str, key: str, description: str, css_class: str) -> str:
    """Return an SVG document as an element for HTML.

    Args:
        document: matplotlib's.
        key: sets its names apart from those of the page's other plots.
        description: what it shows, for those who do not see it.
        css_class: the element's class.

    Raises ValueError where the document holds what no plot of ours is made of.

    """
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _XLINK)
    root = ET.fromstring(document)  # noqa: S314 — matplotlib wrote it a moment ago.
    _drop_style(root)
    referenced = _referenced(root)
    for element in root.iter():
        _mend(element, key, referenced)
    _unwrap(root)
    for size in ("width", "height"):
        root.attrib.pop(size, None)
    root.attrib |= {"class": css_class, "role": "img", "aria-label": description}
    return ET.tostring(root, encoding="unicode")


def _drop_style(root: ET.Element) -> None:
    """Take out matplotlib's style, which would hold for the whole page; the page's own says the same."""
    for parent in list(root.iter()):
        for name in ("style", "metadata"):
            for child in parent.findall(f"{{{_SVG}}}{name}"):
                parent.remove(child)


def _unwrap(element: ET.Element) -> None:
    """Take out groups that group nothing, and the blanks between elements: half of what matplotlib writes."""
    children = []
    for child in element:
        _unwrap(child)
        child.tail = None
        is_bare = child.tag == f"{{{_SVG}}}g" and not child.attrib
        children += list(child) if is_bare else [child]
    if children:
        element.text = None
    element[:] = children


def _referenced(root: ET.Element) -> set[str]:
    """Return the names that something in the document asks for."""
    found = set()
    for element in root.iter():
        for value in element.attrib.values():
            found |= set(_REFERENCE.findall(value))
        if _HREF in element.attrib:
            found.add(element.attrib[_HREF].removeprefix("#"))
    return found


def _mend(element: ET.Element, key: str, referenced: set[str]) -> None:
    name = element.tag.removeprefix(f"{{{_SVG}}}")
    if name not in _ELEMENTS:
        raise ValueError(f"a plot holds <{name}>")
    for attribute, value in list(element.attrib.items()):
        if attribute not in _ATTRIBUTES or (attribute == "id" and value not in referenced):
            del element.attrib[attribute]
        elif attribute == "id":
            element.set(attribute, f"{key}-{value}")
        elif attribute == _HREF:
            if not value.startswith("#"):
                raise ValueError(f"a plot refers to {value}")
            element.set(attribute, f"#{key}-{value.removeprefix('#')}")
        else:
            element.set(attribute, _on_page(value, key, is_style=attribute == "style"))


def _on_page(value: str, key: str, *, is_style: bool) -> str:
    """Return an attribute with the page's names and colours, and coordinates no finer than a screen."""
    if not is_style:
        value = _LONG_NUMBER.sub(lambda found: f"{float(found[0]):.1f}", value)
    return _COLOUR.sub(_page_colour, _REFERENCE.sub(rf"url(#{key}-\1)", value))


def _page_colour(found: re.Match[str]) -> str:
    """Return a colour as the page's variable, which a dark page sets otherwise."""
    colour = found[0]
    return f"var({variable(colour)})" if colour in _VARIABLE else colour
