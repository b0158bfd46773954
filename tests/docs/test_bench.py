"""The page of results is what ``make bench`` writes: it has every goal, and a plot for each that is drawn."""

import re
import xml.etree.ElementTree as ET

from bench.goals import GOALS
from bench.plots import PLOTS
from bench.report import COLUMNS, PAGE, write_goal
from tests.conftest import ROOT

DOCS = ROOT / "docs"
PAGE_TEXT = (DOCS / PAGE).read_text()


def test_the_page_has_every_goal_in_its_order() -> None:
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in PAGE_TEXT.splitlines()
        if line.startswith("| ") and line.count("|") == len(COLUMNS) + 1
    ]
    assert rows[0] == list(COLUMNS)
    assert [row[:2] for row in rows[2:]] == [[f"{goal.label}: {goal.figure}", write_goal(goal)] for goal in GOALS]


def test_the_page_shows_a_plot_of_each_kind_that_exists() -> None:
    shown = re.findall(r"\]\((img/bench-[\w-]+\.svg)\)", PAGE_TEXT)
    assert set(shown) <= {f"img/bench-{name}.svg" for name in ("goals", *(plot.name for plot in PLOTS))}
    assert "img/bench-goals.svg" in shown
    assert {f"img/{path.name}" for path in (DOCS / "img").glob("bench-*.svg")} == set(shown)
    for name in shown:
        assert ET.parse(DOCS / name).getroot().tag.endswith("svg")


def test_the_guide_links_to_the_results() -> None:
    assert f"]({PAGE})" in (DOCS / "bench.md").read_text()
