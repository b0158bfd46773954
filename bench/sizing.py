"""What a host needs: ``python -m bench.sizing`` prints disk, CPU and memory for trades of few and of many symbols."""

import tempfile
from pathlib import Path
from typing import Final

import psutil
import requests

from bench.processes import read_cpu, run_load
from tests.system.stack import Stack

SYMBOLS: Final = (1, 200, 2_000)
BATCHES: Final = 50
BATCH: Final = 1_000
SINGLE: Final = 2_000


def measure(symbols: int, folder: Path) -> dict[str, float]:
    """Return the figures of a stack whose trades have so many symbols, each with series of its own."""
    with Stack(folder, SYMBOL_LIMIT=str(symbols), JOURNAL_SYNC="full") as stack:
        stack.start()
        started = _read_memory(stack)
        before = {name: read_cpu(stack.find(name)) for name in ("web", "sidecar")}
        for number in range(BATCHES):
            trades = [_write_trade(number * BATCH + each, symbols) for each in range(BATCH)]
            answer = requests.post(f"{stack.web_url}/trades", json=trades, timeout=60)
            answer.raise_for_status()
        count = BATCHES * BATCH
        stack.wait_counted(count, 120)
        spent = {name: read_cpu(stack.find(name)) - before[name] for name in before}
        memory = _read_memory(stack)
        scrape = len(requests.get(f"{stack.sidecar_url}/metrics", timeout=60).content)
        single = _measure_single(stack)
        stack.stop(seconds=30)
        disk = sum(path.stat().st_size for path in folder.glob("journal.db*")) / (count + SINGLE)
    return {
        "symbols": symbols,
        "journal, bytes a trade": disk,
        "web, µs of CPU a trade in a batch": spent["web"] / count * 1e6,
        "sidecar, µs of CPU a trade": spent["sidecar"] / count * 1e6,
        "web, µs of CPU a trade of its own": single,
        "web, MB at the start": started["web"] / 1e6,
        "sidecar, MB at the start": started["sidecar"] / 1e6,
        "web, MB": memory["web"] / 1e6,
        "sidecar, MB": memory["sidecar"] / 1e6,
        "a scrape, kB": scrape / 1e3,
    }


def _write_trade(number: int, symbols: int) -> dict[str, str]:
    return {
        "symbol": f"SYM{number % symbols}USDT",
        "side": "SELL" if number % 2 else "BUY",
        "price": f"{27_000 + number % 997}.{number % 89:02}",
        "qty": f"0.{number % 9_973 + 1:06}",
        "ref": f"order-{number}",
        "key": f"order-{number}",
    }


def _measure_single(stack: Stack) -> float:
    """Return the web's microseconds of CPU for each of many requests with one trade."""
    before = read_cpu(stack.find("web"))
    run_load(int(stack.settings["WEBAPP_HTTP_PORT"]), SINGLE)
    return (read_cpu(stack.find("web")) - before) / SINGLE * 1e6


def _list_processes(stack: Stack, name: str) -> list[psutil.Process]:
    process = stack.find(name)
    return [process, *process.children(recursive=True)]


def _read_memory(stack: Stack) -> dict[str, float]:
    """Read the memory that each part has for itself, in bytes."""
    return {
        name: sum(each.memory_full_info().uss for each in _list_processes(stack, name)) for name in ("web", "sidecar")
    }


def main() -> None:
    """Measure and print, one line for each figure."""
    found = []
    for symbols in SYMBOLS:
        with tempfile.TemporaryDirectory() as folder:
            found.append(measure(symbols, Path(folder)))
    for figure in found[0]:
        print(f"{figure:36}", *(f"{each[figure]:12,.0f}" for each in found))


if __name__ == "__main__":
    main()
