"""Signing in, in a real Chromium and against several workers."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import psutil
import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from common.credentials import hash_token, make_token
from common.journal.credentials import Term, add_token, add_user, end_sessions
from common.journal.store import Journal
from common.passwords import hash_password
from common.timestamps import format_timestamp, now
from tests.system.stack import TRADE, Stack
from tests.webapp.conftest import read_token

AXE = Path(__file__).parent / "axe" / "axe.min.js"
PASSWORD = "correct horse battery"


def add(stack: Stack, name: str, role: str = "trader") -> None:
    with Journal(Path(stack.settings["JOURNAL_PATH"])) as journal:
        assert add_user(journal, name, role, hash_password(PASSWORD), format_timestamp(now()))


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Yield a running stack that a user has locked, with four workers."""
    with Stack(tmp_path_factory.mktemp("stack"), WEB_CONCURRENCY="4") as stack:
        add(stack, "ann")
        yield stack.start()


def sign_in(page: Page, name: str = "ann", password: str = PASSWORD) -> None:
    page.locator("[name=username]").fill(name)
    page.locator("[name=password]").fill(password)
    page.keyboard.press("Enter")


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_person_signs_in_trades_and_signs_out(browser: Browser, locked: Stack, *, scripts: bool) -> None:
    with browser.new_context(base_url=locked.web_url, java_script_enabled=scripts) as context:
        page = context.new_page()
        page.goto("/blotter?side=BUY")
        expect(page).to_have_title("Sign in · Trading Telemetry")
        expect(page.locator("[name=username]")).to_be_focused()
        sign_in(page, password="wrong password")
        expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
        expect(page.locator("[name=username]")).to_have_value("ann")
        expect(page.locator("[name=password]")).to_have_value("")
        sign_in(page)
        expect(page).to_have_url(f"{locked.web_url}/blotter?side=BUY")
        page.goto("/")
        before = locked.journalled()
        for name, text in (("symbol", "BTCUSDT"), ("price", "1"), ("qty", "2")):
            page.locator(f"[name={name}]").first.fill(text)
        page.keyboard.press("Enter")
        expect(page.locator("#notices")).to_contain_text("BUY 2 BTCUSDT at 1")
        assert locked.journalled() == before + 1
        page.get_by_role("button", name="Sign out").click()
        expect(page).to_have_url(f"{locked.web_url}/sign-in")
        page.goto("/")
        expect(page).to_have_title("Sign in · Trading Telemetry")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_form_has_no_accessibility_violation(
    browser: Browser, locked: Stack, tmp_path: Path, scheme: Literal["light", "dark"], width: int
) -> None:
    with browser.new_context(
        base_url=locked.web_url, bypass_csp=True, color_scheme=scheme, viewport={"width": width, "height": 800}
    ) as context:
        page = context.new_page()
        page.goto("/")
        sign_in(page, name="bob")
        expect(page.get_by_role("alert")).to_be_visible()
        page.add_script_tag(path=AXE)
        found = page.evaluate("axe.run()")
        assert [violation["id"] for violation in found["violations"]] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.screenshot(path=tmp_path / f"sign-in-{scheme}-{width}.png")


def test_all_workers_count_the_failures_of_a_client_together(locked: Stack) -> None:
    workers = sorted(locked.workers(), key=lambda worker: worker.pid)
    assert len(workers) == 4

    def guess(worker: psutil.Process) -> int:
        with locked.only(worker), requests.Session() as session:
            token = read_token(session.get(f"{locked.web_url}/sign-in", timeout=60).text)
            form = {"csrf_token": token, "username": "eve", "password": "a wrong password"}
            return session.post(f"{locked.web_url}/sign-in", data=form, timeout=60).status_code

    guesses = itertools.takewhile(lambda status: status == 401, map(guess, itertools.cycle(workers)))
    # Each worker for itself would check 20 before one has to wait. The waits grow to a minute, so speed matters little.
    assert 5 <= len(list(guesses)) < 20


def change(stack: Stack, what: Callable[[Journal], object]) -> None:
    with Journal(Path(stack.settings["JOURNAL_PATH"])) as journal:
        what(journal)


def test_a_desk_whose_session_ends_keeps_what_is_typed_and_misses_no_trade(
    browser: Browser, locked: Stack, tmp_path: Path
) -> None:
    text = make_token()
    term = Term(format_timestamp(now()), None)
    change(locked, lambda journal: add_token(journal, "bot", hash_token(text), {"trade:write"}, term))
    add(locked, "eva")

    def accept() -> None:
        headers = {"Authorization": f"Bearer {text}"}
        for _ in range(3):
            assert requests.post(f"{locked.web_url}/trade", json=TRADE, headers=headers, timeout=60).status_code == 201

    with browser.new_context(base_url=locked.web_url) as context:
        page, other = context.new_page(), context.new_page()
        page.goto("/")
        sign_in(page, "eva")
        expect(page.locator("#status-feed")).to_contain_text("live")
        other.goto("/")
        expect(other.locator("#status-feed")).to_contain_text("live")
        accept()
        page.locator("[name=symbol]").first.fill("TYPED")
        page.locator("[name=price]").first.fill("7")
        page.locator("[name=qty]").first.fill("8")
        change(locked, lambda journal: end_sessions(journal, "eva"))
        for each in (page, other):
            expect(each.locator("#session-ended")).to_contain_text("Sign in again")
            expect(each.locator("#session-ended [name=password]")).to_be_visible()
        accept()
        before = locked.journalled()
        page.locator("#send").click()
        expect(page.locator("#notices")).to_contain_text("The session has ended; sign in again")
        assert locked.journalled() == before
        page.screenshot(path=tmp_path / "ended.png")
        page.locator("#session-ended [name=username]").fill("eva")
        page.locator("#session-ended [name=password]").fill("a wrong password")
        page.keyboard.press("Enter")
        expect(page.locator("#session-ended .notice")).to_have_text("The name or the password is wrong.")
        page.locator("#session-ended [name=password]").fill(PASSWORD)
        page.keyboard.press("Enter")
        for each in (page, other):
            expect(each.locator("#session-ended")).to_be_hidden()
            expect(each.locator("#status-feed")).to_contain_text("live")
        accept()
        last = locked.journalled()
        for each in (page, other):
            expect(each.locator(f"#trades tr[data-seq='{last}']")).to_be_attached()
            rows = each.locator("#trades tr[data-seq]")
            shown = rows.evaluate_all("rows => rows.map(row => Number(row.dataset.seq))")
            assert shown == list(range(last, last - len(shown), -1))
            assert len(shown) >= 9
        expect(page.locator("[name=symbol]").first).to_have_value("TYPED")
        page.locator("#send").click()
        expect(page.locator("#notices")).to_contain_text("BUY 8 TYPED at 7")
