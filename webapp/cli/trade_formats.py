"""Formats of files of trades: which column has which field, by the header or by the look of the first row."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any, Final
from zoneinfo import ZoneInfo

import click
from msgspec import UNSET

from common.csv_cells import unmark
from common.event import REQUIRED_FIELDS, TRADE_FIELDS
from common.timestamps import Timestamp
from webapp.cli.trade_times import read_time

NAMES: Final = ("csv", "binance-trades", "binance-aggtrades", "kraken-trades")
AUTO: Final = "auto"

ID: Final = "id"
"""The column of the exchange's id of a trade."""

_MAKER = "is_buyer_maker"
_SIDES = {"b": "BUY", "buy": "BUY", "s": "SELL", "sell": "SELL"}
_BOOLEANS = {"true": "SELL", "false": "BUY", "1": "SELL", "0": "BUY"}
"""Sides by whether the buyer was the maker: then the seller took the price."""

# Columns of files without a header, in order; "" is not used.
_BINANCE_TRADES = (ID, "price", "qty", "", "ts", _MAKER, "")
_BINANCE_AGGTRADES = (ID, "price", "qty", "", "", "ts", _MAKER, "")
_KRAKEN_ROWS = ("price", "qty", "ts", "side", "", "", ID)
# Columns of an account's history at Kraken, by their names.
_KRAKEN_HISTORY = {
    "txid": ID,
    "pair": "symbol",
    "time": "ts",
    "type": "side",
    "price": "price",
    "vol": "qty",
    "fee": "fee",
}


@dataclass(frozen=True)
class Layout:
    """How the rows of one file are read: the index of each field, and how its times are written."""

    format: str
    columns: Mapping[str, int]
    header: Sequence[str] = ()
    symbol: str = ""
    source: str = ""
    unit: str | None = None
    zone: ZoneInfo | None = None

    def read(self, rows: Sequence[Sequence[str]]) -> dict[str, Sequence[Any]]:
        """Read rows of equal length: the texts of each field, and the exchange's ids; UNSET where there is none.

        Raises BadCellError, and ValueError when the lengths differ.
        """
        table = list(zip(*rows, strict=True))
        none = [UNSET] * len(rows)
        found: dict[str, Sequence[Any]] = dict.fromkeys((*TRADE_FIELDS, ID), none)
        for name, index in self.columns.items():
            found[name] = self._clean(name, table[index] if index < len(table) else [""] * len(rows))
        if _MAKER in found:
            found["side"] = _translate(found.pop(_MAKER), _BOOLEANS)
        elif self.format != "csv":
            found["side"] = _translate(found["side"], _SIDES)
        times = {text: self._read_time(text) for text in set(found["ts"])}
        found["ts"] = [times[text] for text in found["ts"]]
        for name, text in (("symbol", self.symbol), ("source", self.source)):
            if text:
                found[name] = [text] * len(rows)
        return found

    def _clean(self, name: str, cells: Sequence[str]) -> Sequence[Any]:
        # A reference is stored as it was sent.
        if name != "ref":
            cells = list(map(str.strip, cells))
        is_marked = self.format == "csv" and "'" in "".join(cells)
        texts = list(map(unmark, cells)) if is_marked else cells
        if name in REQUIRED_FIELDS or name == _MAKER:
            return texts
        return [text if cell else UNSET for cell, text in zip(cells, texts, strict=True)]

    def _read_time(self, text: str) -> Timestamp:
        try:
            return read_time(text, self.unit, self.zone)
        except (ValueError, OverflowError) as error:
            hint = str(error) if "--time-zone" in str(error) else "expected a time with an offset, or a number"
            raise BadCellError("ts", f"{text[:64] or 'empty'}: {hint}") from error

    def name_column(self, name: str) -> str:
        """Name the column of a field: by its header, else by its number."""
        index = self.columns.get(name, self.columns.get(_MAKER, -1) if name == "side" else -1)
        if 0 <= index < len(self.header):
            return self.header[index]
        return str(index + 1) if index >= 0 else name


def _translate(cells: Sequence[str], known: Mapping[str, str]) -> list[str]:
    words = {cell: known.get(cell.lower(), cell) for cell in set(cells)}
    return [words[cell] for cell in cells]


class BadCellError(Exception):
    """A cell that cannot be read; ``name`` is its field."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(detail)
        self.name = name


@dataclass(frozen=True)
class Wanted:
    """What the options of the command say about a file."""

    format: str = AUTO
    symbol: str = ""
    source: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    unit: str | None = None
    zone: ZoneInfo | None = None


def choose_layout(first: Sequence[str], wanted: Wanted, file_name: str) -> Layout:
    """Choose the layout by the first row; its ``header`` is empty when that row is a trade already.

    Raises ClickException with what was expected.
    """
    header = [cell.strip().lower() for cell in first]
    layout = _map(header, first, wanted.columns) if wanted.columns else _detect(header, first, wanted.format)
    options = {
        "symbol": wanted.symbol,
        "source": wanted.source,
        "unit": wanted.unit,
        "zone": wanted.zone or layout.zone,
    }
    layout = replace(layout, **options)  # type: ignore[arg-type]
    if layout.format.startswith("binance") and not layout.symbol:
        layout = replace(layout, symbol=_find_symbol(file_name))
    given = {*layout.columns, *(["symbol"] if layout.symbol else []), *(["side"] if _MAKER in layout.columns else [])}
    missing = [name for name in REQUIRED_FIELDS if name not in given]
    if missing:
        columns = ", ".join(first)[:200]
        message = (
            f"{file_name}, line 1: no column {', '.join(missing)} in {columns or 'an empty line'}; expected"
            f" {','.join(REQUIRED_FIELDS)}, a format of {', '.join(NAMES[1:])}, or --map {missing[0]}=NAME"
        )
        raise click.ClickException(message)
    return layout


def _detect(header: Sequence[str], first: Sequence[str], name: str) -> Layout:
    found = _find_binance(header) or _find_kraken(header)
    if found is None or name == "csv":
        found = Layout("csv", {each: header.index(each) for each in TRADE_FIELDS if each in header}, first)
    elif found.header:
        found = replace(found, header=first)
    if name not in {AUTO, found.format}:
        message = f"line 1 is not of the format {name}: {', '.join(first)[:200]}"
        raise click.ClickException(message)
    return found


def _find_binance(cells: Sequence[str]) -> Layout | None:
    if _MAKER in cells:
        aggregated = "agg_trade_id" in cells
        names = {"agg_trade_id": ID, "id": ID, "price": "price", "qty": "qty", "quantity": "qty"}
        names |= {"time": "ts", "transact_time": "ts", _MAKER: _MAKER}
        columns = {names[cell]: index for index, cell in enumerate(cells) if cell in names}
        return Layout("binance-aggtrades" if aggregated else "binance-trades", columns, cells)
    forms: dict[str, Sequence[str]] = {"binance-trades": _BINANCE_TRADES, "binance-aggtrades": _BINANCE_AGGTRADES}
    for form, order in forms.items():
        if len(order) - 1 <= len(cells) <= len(order) and cells[order.index(_MAKER)] in {"true", "false"}:
            return Layout(form, _number(order))
    return None


def _find_kraken(cells: Sequence[str]) -> Layout | None:
    utc = ZoneInfo("UTC")
    if {"txid", "pair", "vol"} <= set(cells):
        columns = {_KRAKEN_HISTORY[cell]: index for index, cell in enumerate(cells) if cell in _KRAKEN_HISTORY}
        return Layout("kraken-trades", columns, cells, zone=utc)
    if len(cells) == len(_KRAKEN_ROWS) and cells[3] in {"b", "s"} and cells[4] in {"m", "l"}:
        return Layout("kraken-trades", _number(_KRAKEN_ROWS), zone=utc)
    return None


def _number(columns: Sequence[str]) -> dict[str, int]:
    return {name: index for index, name in enumerate(columns) if name}


def _map(header: Sequence[str], first: Sequence[str], wanted: Mapping[str, str]) -> Layout:
    """Use the columns of --map; a field that it does not name is in the column of the same name."""
    columns = {name: header.index(name) for name in TRADE_FIELDS if name in header}
    for name, column in wanted.items():
        if column.strip().lower() not in header:
            message = f"--map {name}={column}: line 1 has no such column; it has {', '.join(first)[:200]}"
            raise click.ClickException(message)
        columns[name] = header.index(column.strip().lower())
    return Layout("map", columns, first)


def _find_symbol(file_name: str) -> str:
    """Find the symbol in a name that Binance gives to its files, like BTCUSDT-trades-2025-01.csv."""
    found = re.match(r"([A-Z0-9]{2,30})-(agg)?[Tt]rades-", PurePath(file_name).name)
    return found[1] if found else ""
