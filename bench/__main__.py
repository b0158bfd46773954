"""``python -m bench``: run every measurement and print medians, spread and ratios."""

import sys
from statistics import median

from bench import accept, fold

RATIOS = (
    ("accept/s", "floor/s"),
    ("accept p99 ms", "floor p99 ms"),
    ("decode and fold, 1 in a message", "decode and inc(), 1 in a message"),
    ("decode and fold, 100 in a message", "decode and inc(), 1 in a message"),
)


def main() -> None:
    """Print one table."""
    found = fold.measure() | accept.measure()
    rows: list[tuple[str, ...]] = [("measurement", "median", "min", "max")]
    for name, values in found.items():
        rows.append((name, *(f"{value:,.1f}" for value in (median(values), min(values), max(values)))))
    for name, peer in RATIOS:
        ratios = [mine / theirs for mine, theirs in zip(found[name], found[peer], strict=True)]
        rows.append((f"{name} : {peer}", *(f"{value:.2f}" for value in (median(ratios), min(ratios), max(ratios)))))
    width = max(len(row[0]) for row in rows)
    for name, *figures in rows:
        sys.stdout.write(name.ljust(width) + "".join(figure.rjust(13) for figure in figures) + "\n")


if __name__ == "__main__":
    main()
