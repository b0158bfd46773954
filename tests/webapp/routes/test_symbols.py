import pytest
from flask.testing import FlaskClient

from common.journal.store import Journal
from tests.conftest import append, make_event
from webapp import symbols


def find(client: FlaskClient, query: str = "") -> list[str]:
    answer = client.get(f"/market/symbols{query}")
    assert answer.status_code == 200, answer.text
    assert answer.json is not None
    return [each["symbol"] for each in answer.json["symbols"]]


def test_a_symbol_is_found_by_a_part_of_its_name_in_any_case_the_newest_first(
    client: FlaskClient, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(symbols, "STEP", 2)
    names = ["kPEPE", "BTC/USDT", "ETH/USDT", "BTC/EUR", "ÅBTC"]
    append(journal, [make_event(0, id=str(n), symbol=name, price=str(n + 1)) for n, name in enumerate(names)])
    append(journal, [make_event(0, id="again", symbol="BTC/USDT", price="9.50")])
    assert find(client, "?search=btc") == ["BTC/USDT", "ÅBTC", "BTC/EUR"]
    assert find(client, "?search=PEP") == ["kPEPE"]
    assert find(client, "?search=nothing") == []
    assert find(client) == ["BTC/USDT", "ÅBTC", "BTC/EUR", "ETH/USDT", "kPEPE"]
    assert find(client, "?search=t&limit=1") == ["BTC/USDT"]
    answer = client.get("/market/symbols?search=btc&limit=2").json
    assert answer is not None
    assert answer["complete"]
    assert answer["symbols"][0]["last_price"] == "9.50"
    assert answer["symbols"][0]["quote"] == "USDT"


def test_a_search_without_time_says_that_it_is_not_complete(
    client: FlaskClient, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(symbols, "STEP", 1)
    append(journal, [make_event(0, id=name, symbol=name) for name in ("A", "B")])
    clock = iter([0.0, 0.0, 9.0])
    monkeypatch.setattr(symbols, "monotonic", lambda: next(clock))
    answer = client.get("/market/symbols").json
    assert answer is not None
    assert ([each["symbol"] for each in answer["symbols"]], answer["complete"]) == (["A"], False)
