"""A page taken apart as a browser would, as far as tags, attributes and text go."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser
from typing import Self

#: Elements without an end.
_VOID = ("meta", "link")


class Page(HTMLParser):
    """Elements, attributes and texts of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.open: list[str] = []

    @classmethod
    def of(cls, text: str) -> Self:
        """Return a page taken apart, which must be closed as it was opened."""
        page = cls()
        page.feed(text)
        page.close()
        assert page.open == []
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.tags[tag] += 1
        self.attributes += ((tag, name, value or "") for name, value in attrs)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element of SVG that has nothing in it."""
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        """Note that the innermost element ends."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.texts.append(data)

    @property
    def text(self) -> str:
        """Return all texts."""
        return "".join(self.texts)

    def values(self, name: str) -> list[str]:
        """Return the values of an attribute, in order."""
        return [value for _, found, value in self.attributes if found == name]
