"""A report's page, read back: its tables, and the values that its pictures' lines stand for."""

import re
from html.parser import HTMLParser

import numpy as np

_VOID = {"meta", "img", "br", "use", "path"}


class Page(HTMLParser):
    """An HTML page's elements; fails where a tag is closed that was not open.

    Attributes:
      tables: by id, their rows, the columns' names first.
      attributes: of every element (element, attribute, value).
    """

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.tables: dict[str, list[list[str]]] = {}
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self._open: list[str] = []
        self._rows: list[list[str]] = []
        self.feed(text)
        self.close()
        assert self._open == [], f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "table":
            self._rows = self.tables.setdefault(dict(attrs)["id"] or "", [])
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("th", "td"):
            self._rows[-1].append("")
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self._open and self._open.pop() == tag, f"{tag} is closed, {self._open} are open"

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("th", "td"):
            self._rows[-1][-1] += data
        if "style" not in self._open:
            self.text += data


def drawn(text: str, picture: str, line: str) -> np.ndarray:
    """float64[N, 2]: the points of a line as a reader sees them, by the labels of the axes' ticks."""
    path = re.search(rf'<g id="{picture}-{line}">\s*<path d="([^"]*)"', text)
    assert path is not None, line
    points = np.array([[float(x) for x in point.split()[1:]] for point in re.findall(r"[ML][^ML]+", path[1])])
    return np.stack([np.polyval(scale(text, picture, axis), points[:, i]) for i, axis in enumerate("xy")], axis=-1)


def scale(text: str, picture: str, axis: str) -> np.ndarray:
    """What turns a place in the picture into a value: a straight line through the ticks."""
    groups = re.findall(rf'<g id="{picture}-{axis}tick_\d+">(.*?)</text>', text, flags=re.DOTALL)
    places = [float(re.search(rf'<use[^>]* {axis}="([-\d.]+)"', each)[1]) for each in groups]  # type: ignore[index]
    values = [_value(each.rpartition(">")[2]) for each in groups]
    assert len(values) > 1
    return np.polyfit(places, values, 1)


def _value(label: str) -> float:
    unit = {"k": 1e3, "M": 1e6}.get(label[-1], 1.0)
    return unit * float(label.replace("\N{MINUS SIGN}", "-").rstrip("kM"))
