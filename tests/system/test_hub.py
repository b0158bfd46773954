"""What is read at a hub: tests of desk, feed and audit once more, over a hub, and each total equal to its host's."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, expect

from tests.system import test_cli, test_desk, test_view, test_windows
from tests.system.feed_client import FeedClient
from tests.system.hub_stack import HubStack
from tests.system.stack import TRADE, Samples, Stack
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Yield a hub in the place of the stack that the tests below have elsewhere."""
    with HubStack(tmp_path_factory.mktemp("hub")) as stack:
        yield stack.start()


desk, page, context = test_desk.desk, test_view.page, test_windows.context

test_positions_follow_the_trades = test_desk.test_positions_follow_the_trades
test_tiles_symbols_and_chart_follow_the_trades = test_desk.test_tiles_symbols_and_chart_follow_the_trades
test_times_are_in_the_zone_that_is_chosen = test_view.test_times_are_in_the_zone_that_is_chosen
test_when_the_page_that_reads_the_feed_is_closed_another_continues_without_a_gap = (
    test_windows.test_when_the_page_that_reads_the_feed_is_closed_another_continues_without_a_gap
)
test_an_audit_of_a_correct_stack_succeeds = test_cli.test_an_audit_of_a_correct_stack_succeeds


def read_totals(stack: Stack) -> Samples:
    """Read every metric of trades but those of delays, which differ."""
    return {
        (name, labels): value
        for (name, labels), value in stack.samples().items()
        if name.startswith("trading_") and "delay" not in name and "_created" not in name and "_host_" not in name
    }


def read_positions(stack: Stack) -> Any:  # noqa: ANN401 - JSON
    return requests.get(f"{stack.web_url}/positions", timeout=60).json()["positions"]


def read_page(stack: Stack) -> list[str]:
    trades = requests.get(f"{stack.web_url}/trades", params={"limit": 1000}, timeout=60).json()["trades"]
    return [trade["id"] for trade in trades]


def test_totals_positions_trades_and_feed_of_a_hub_are_those_of_its_host(shared: HubStack) -> None:
    for number in range(20):
        shared.host.post(TRADE | {"symbol": f"S{number % 3}/EUR", "source": f"bot-{number % 2}", "fee": "0.1"})
    shared.wait_arrived()
    total = shared.journalled()
    for stack in (shared, shared.host):
        stack.wait_counted(total, 60)
    wait_for(lambda: read_totals(shared) == read_totals(shared.host), "each total is the same")
    wait_for(lambda: read_positions(shared) == read_positions(shared.host), "each position is the same")
    assert read_page(shared) == read_page(shared.host)
    with FeedClient(shared, 0) as client:
        client.read_to(total)
    assert client.ids == list(range(1, total + 1))


def test_the_blotter_of_a_hub_shows_the_trades_and_totals_of_a_host(browser: Browser, shared: HubStack) -> None:
    shared.post(TRADE | {"symbol": "BLOTTER", "qty": "1.5"})
    event = shared.post(TRADE | {"symbol": "BLOTTER", "qty": "2.25"}).json()
    with browser.new_context(base_url=shared.web_url) as opened:
        blotter = opened.new_page()
        blotter.goto(f"/blotter?symbol=BLOTTER&host={event['journal_id']}")
        expect(blotter.locator("main")).to_contain_text("101712.9375")
        expect(blotter.locator("main")).to_contain_text("1.5")
        blotter.goto("/blotter?symbol=BLOTTER&host=nobody")
        expect(blotter.locator("main")).not_to_contain_text("101712.9375")
