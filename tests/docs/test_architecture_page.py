"""docs/architecture.md against the package: every file that it names is there, and every storey is in the picture."""

import re
from pathlib import Path
from xml.etree import ElementTree

from tests.test_architecture import LIGHT, ORDER

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
SVG = "{http://www.w3.org/2000/svg}"
NOT_DRAWN = {"__init__", "__main__"}


def test_every_file_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"`((?:tests/)?[\w/]+(?:\.py|/))`", PAGE))
    assert len(named) > 50
    assert [name for name in sorted(named) if not (ROOT / name).exists() and not (ROOT / "tfdqn" / name).exists()] == []


def test_the_page_lists_the_storeys_in_their_order() -> None:
    (sentence,) = re.findall(r"From the ground up, the storeys are (.*?);", PAGE, re.S)
    assert re.findall(r"`(\w+)`", sentence) == [name for name in ORDER if name not in NOT_DRAWN]


def test_every_storey_is_drawn_once_and_those_without_tensorflow_are_marked() -> None:
    tree = ElementTree.parse(ROOT / "docs" / "pictures" / "house.svg").getroot()
    drawn = [text.text for text in tree.iter(f"{SVG}text") if "small" not in text.get("class", "")]
    boxes = [box.get("class") for box in tree.iter(f"{SVG}rect") if box.get("class") in ("light", "heavy")]
    there = {name for name in ORDER if (ROOT / "tfdqn" / name).is_dir() or (ROOT / "tfdqn" / f"{name}.py").exists()}
    assert sorted(map(str, drawn)) == sorted(there - NOT_DRAWN)
    assert {name for name, box in zip(drawn, boxes, strict=False) if box == "light"} == set(LIGHT)
