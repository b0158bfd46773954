"""``python -m bench``: run every measurement and print one table of medians, ranges and ratios to the peer."""

from statistics import median

from bench import accept, fold

PEERS = accept.PEERS | fold.PEERS


def main() -> None:
    """Measure and print."""
    found = fold.measure() | accept.measure()
    rows: list[tuple[str, ...]] = [("measurement", "median", "min", "max", "ratio", "(min to max)", "of")]
    rows += [_write_row(name, found) for name in found]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for name, *figures, peer in rows:
        cells = [figure.rjust(width) for figure, width in zip(figures, widths[1:-1], strict=True)]
        print("  ".join([name.ljust(widths[0]), *cells, peer]).rstrip())


def _write_row(name: str, found: dict[str, list[float]]) -> tuple[str, ...]:
    values = found[name]
    figures = [f"{value:,.0f}" for value in (median(values), min(values), max(values))]
    peer = PEERS.get(name)
    if peer is None:
        return (name, *figures, "", "", "")
    # Round by round: a disturbance of the machine affects both sides of a ratio.
    ratios = [mine / theirs for mine, theirs in zip(values, found[peer], strict=True)]
    return (name, *figures, f"{median(ratios):.2f}", f"({min(ratios):.2f} to {max(ratios):.2f})", peer)


if __name__ == "__main__":
    main()
