"""The report of a run: a table for the terminal, and the page ``bench-results.md`` with the same one and the plots."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from bench.goals import GOALS, Goal, Row, judge
from bench.plots import PLOTS, draw_bars, draw_goals, write_number
from bench.profiles import SAMPLES
from bench.runner import Results

PAGE: Final = "bench-results.md"
COLUMNS: Final = ("measure", "goal", "ours (min to max)", "peer", "ratio (min to max)", "before", "reached")

Profile = Callable[[str], str]


class About(NamedTuple):
    """What the page says about a run."""

    date: str
    commit: str
    before: str | None
    machine: str
    load: str
    rounds: int
    minutes: float
    quick: bool
    full: bool


def list_rows(results: Results) -> list[Row]:
    """List the rows of the measurements that were run."""
    run = results.values.keys() | results.failed.keys()
    return [judge(goal, results) for goal in GOALS if goal.measure in run]


def write_range(values: Sequence[float]) -> str:
    """Write the median, and from two rounds on the least and the most."""
    if not values:
        return ""
    text = write_number(median(values))
    if len(values) > 1:
        text += f" ({write_number(min(values))} to {write_number(max(values))})"
    return text


def write_goal(goal: Goal) -> str:
    """Write what is to be reached."""
    if goal.bound is None:
        return ""
    return f"{'≥' if goal.least else '≤'} {goal.bound:,g}{' ×' if goal.peer else ''}"


def write_row(row: Row) -> tuple[str, ...]:
    """Write the cells of a row, under COLUMNS."""
    goal = row.goal
    peer = f"{goal.peer} {write_range(row.peer[:1] and [median(row.peer)])}".strip() if goal.peer else ""
    if row.peer_reason:
        peer = f"{goal.peer}: {row.peer_reason}"
    reached = {None: "" if goal.bound is None else "unknown", True: "yes", False: "no"}[row.reached]
    return (
        f"{goal.label}: {goal.figure}",
        write_goal(goal),
        row.reason or write_range(row.ours),
        peer,
        write_range(row.ratios),
        write_number(median(row.before)) if row.before else "",
        "failed" if row.reason else reached,
    )


def write_text(rows: Iterable[Row]) -> str:
    """Write the table for a terminal."""
    table = [COLUMNS, *map(write_row, rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(COLUMNS))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def write_markdown(rows: Iterable[Row]) -> str:
    """Write the table of the page."""
    cells = [COLUMNS, ("---",) * len(COLUMNS), *(tuple(c.replace("|", "\\|") for c in write_row(row)) for row in rows)]
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)


def write_figures(results: Results) -> str:
    """Write every figure of every subject, those without a goal too."""
    lines = ["| measurement | subject | figures, medians |", "| --- | --- | --- |"]
    for measure, subjects in results.values.items():
        for subject, figures in subjects.items():
            text = " · ".join(f"{name} {write_number(median(values))}" for name, values in figures.items())
            lines.append(f"| `{measure}` | {subject} | {text} |")
        without = results.failed.get(measure, {}) | results.unavailable.get(measure, {})
        lines += [f"| `{measure}` | {subject} | {results.find_reason(measure, subject)} |" for subject in without]
    return "\n".join(lines) + "\n"


def write_page(results: Results, about: About, folder: Path, profile: Profile) -> None:
    """Write the page into a folder, and its plots into ``img/`` below it.

    ``profile`` writes what the work of a measurement goes to, for those with a goal that is not reached.
    """
    rows = list_rows(results)
    images = folder / "img"
    images.mkdir(exist_ok=True)
    pictures = ["![each goal: how much of what is allowed was needed](img/bench-goals.svg)"]
    (images / "bench-goals.svg").write_text(draw_goals([row for row in rows if row.reached is not None]))
    for plot in PLOTS:
        drawn = draw_bars(plot, results)
        if drawn:
            (images / f"bench-{plot.name}.svg").write_text(drawn)
            pictures.append(f"![{plot.title}](img/bench-{plot.name}.svg)")
    kind = "a quick run, whose figures are rough" if about.quick else "a whole run"
    grown = "10 million trades" if about.full else "a part of the 10 million trades"
    reached = sum(row.reached is True for row in rows)
    judged = sum(row.goal.bound is not None for row in rows)
    before = f", and before it `{about.before}`," if about.before else ""
    missed = dict.fromkeys(row.goal.measure for row in rows if row.reached is False)
    profiles = [text for text in map(profile, missed) if text]
    (folder / PAGE).write_text(
        f"""# Results of `make bench`

Written by `make bench`, never by hand; [bench.md](bench.md) says what is measured and how to read it.

{about.date}, `{about.commit}`{before} in {about.minutes:.0f} minutes: {kind}, {about.rounds} rounds, growth over
{grown}. {about.machine}, load {about.load}.

**{reached} of {judged} goals reached.** A ratio is the median of the rounds' own ratios, so not exactly the quotient of
two medians.

{write_markdown(rows)}
{chr(10).join(pictures)}

## Where a goal is not reached

Each of these measurements once more, with py-spy: which packages, and which functions, were on the processor when it
looked, {SAMPLES} times a second. `Hub.run` is gevent's event loop, with what it waits; `Connection.writing` is SQLite.

{chr(10).join(profiles) or "Every goal is reached."}
## Every figure

{write_figures(results)}"""
    )
