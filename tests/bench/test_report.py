import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.goals import GOALS, Goal, Row, judge
from bench.measure import BEFORE, OURS
from bench.measures import MEASURES
from bench.plots import PLOTS, Bars, draw_bars, draw_goals, write_number
from bench.report import About, list_rows, write_page, write_row, write_text
from bench.runner import Results

ABOUT = About("2026-01-31", "abc", "def", "2 cores", "1.0", 3, 20.0, quick=False, full=True)
SVG = "{http://www.w3.org/2000/svg}"


def make_results(ours: Sequence[float] = (10, 12, 20), peer: Sequence[float] = (10, 10, 10)) -> Results:
    return Results(values={"post": {OURS: {"CPU, µs": [*ours]}, "bare Flask": {"CPU, µs": [*peer]}}})


def make_row(results: Results, **fields: Any) -> Row:  # noqa: ANN401 - those of Goal
    return judge(Goal("posting", "post", "CPU, µs")._replace(**fields), results)


def test_a_ratio_is_taken_round_by_round() -> None:
    row = make_row(make_results(ours=[10, 30, 20], peer=[10, 10, 40]), peer="bare Flask", bound=1.0)
    assert row.ratios == [1.0, 3.0, 0.5]
    assert row.judged == 1.0
    assert row.reached is True


@pytest.mark.parametrize(
    ("fields", "reached"),
    [
        ({"bound": 12}, True),
        ({"bound": 11.9}, False),
        ({"bound": 12, "least": True}, True),
        ({"bound": 12.1, "least": True}, False),
        ({"bound": 1.2, "peer": "bare Flask"}, True),
        ({"bound": 1.1, "peer": "bare Flask"}, False),
        ({"bound": 0.8, "peer": "bare Flask", "inverse": True, "least": True}, True),
        ({"bound": 0.9, "peer": "bare Flask", "inverse": True, "least": True}, False),
        ({}, None),
        ({"bound": 1, "peer": "FastAPI"}, None),
    ],
)
def test_a_goal_is_reached_up_to_its_bound_or_from_it_on(fields: dict[str, Any], *, reached: bool | None) -> None:
    assert make_row(make_results(), **fields).reached is reached


def test_a_row_has_the_figures_the_ratio_and_what_was_before() -> None:
    results = make_results()
    results.values["post"][BEFORE] = {"CPU, µs": [24.0]}
    assert write_row(make_row(results, peer="bare Flask", bound=1.5)) == (
        "posting: CPU, µs",
        "≤ 1.5 ×",
        "12.0 (10.0 to 20.0)",
        "bare Flask 10.0",
        "1.20 (1.00 to 2.00)",
        "24.0",
        "yes",
    )


def test_what_failed_or_was_not_built_is_in_its_row() -> None:
    results = Results(
        failed={"post": {OURS: "9 rows"}}, unavailable={"post": {"bare Flask": "no Go"}}, values={"post": {}}
    )
    row = write_row(make_row(results, peer="bare Flask", bound=1.5))
    assert row[2:] == ("failed: 9 rows", "bare Flask: not built: no Go", "", "", "failed")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.283, "0.283"), (1.5, "1.50"), (12.34, "12.3"), (123.4, "123"), (812_345, "812,345")],
)
def test_a_number_has_three_digits(value: float, text: str) -> None:
    assert write_number(value) == text


def test_a_goal_whose_peer_has_no_figure_is_unknown() -> None:
    results = make_results()
    results.unavailable["post"] = {"FastAPI": "no Go"}
    assert write_row(make_row(results, peer="FastAPI", bound=1.5))[3:] == (
        "FastAPI: not built: no Go",
        "",
        "",
        "unknown",
    )
    assert write_row(make_row(results, peer="FastAPI"))[-1] == ""


def test_the_table_lists_the_goals_of_what_was_run() -> None:
    results = make_results()
    assert {row.goal.measure for row in list_rows(results)} == {"post"}
    lines = write_text(list_rows(results)).splitlines()
    assert len(lines) == 1 + sum(goal.measure == "post" for goal in GOALS)


def test_goals_and_plots_name_measurements_that_exist() -> None:
    names = {measure.name for measure in MEASURES}
    assert {goal.measure for goal in GOALS} == names
    assert {plot.measure for plot in PLOTS} <= names


def test_a_bar_is_as_long_as_its_figure() -> None:
    drawn = ET.fromstring(draw_bars(Bars("p", "A < B", "post", ("CPU, µs",)), make_results(ours=[5])))
    ours, peer = (float(bar.attrib["width"]) for bar in drawn.iter(f"{SVG}rect"))
    assert ours * 2 == pytest.approx(peer, rel=0.01)
    assert [bar.attrib["class"] for bar in drawn.iter(f"{SVG}rect")] == ["ours", "peer"]
    assert drawn.attrib["aria-label"] == "A < B"


def test_a_figure_that_was_not_measured_is_not_drawn() -> None:
    assert draw_bars(Bars("p", "", "post", ("p99, ms",)), make_results()) == ""


def test_a_goal_that_is_reached_ends_before_the_line() -> None:
    rows = [make_row(make_results(), bound=bound) for bound in (24, 6)]
    rows.append(make_row(make_results(ours=[0]), bound=0))
    drawn = ET.fromstring(draw_goals(rows))
    (line,) = drawn.iter(f"{SVG}line")
    ends = [float(bar.attrib["x"]) + float(bar.attrib["width"]) for bar in drawn.iter(f"{SVG}rect")]
    assert [end < float(line.attrib["x1"]) for end in ends] == [True, False, True]
    assert [bar.attrib["class"] for bar in drawn.iter(f"{SVG}rect")] == ["yes", "no", "yes"]


def test_plots_have_colours_for_a_light_and_for_a_dark_page() -> None:
    drawn = draw_goals([])
    light, dark = drawn.split("prefers-color-scheme:dark")
    for name in ("text", ".ours", ".before", ".peer", ".yes", ".no", ".line"):
        assert f"{name}{{" in light
        assert f"{name}{{" in dark


def test_the_page_has_the_table_the_plots_and_every_figure(tmp_path: Path) -> None:
    write_page(make_results(ours=[20]), ABOUT, tmp_path, "the profile of {}\n".format)
    page = (tmp_path / "bench-results.md").read_text()
    assert "`abc`, and before it `def`" in page
    assert "| `POST /trade`: CPU, µs | ≤ 1.8 × | 20.0 | bare Flask 10.0 |" in page
    assert "| `post` | bare Flask | CPU, µs 10.0 |" in page
    assert page.count("the profile of") == page.count("the profile of post") == 1
    pictures = re.findall(r"\]\((img/bench-[\w-]+\.svg)\)", page)
    assert pictures == ["img/bench-goals.svg", "img/bench-post.svg"]
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.glob("img/*")} == set(pictures)
