from common.journal.hub import Host
from common.settings import Settings
from sidecar.hosts import HOST_LIMIT, expose_hosts, name_hosts
from sidecar.state import read_seconds
from tests.conftest import AT


def test_hosts_have_the_totals_of_the_journal_under_their_names() -> None:
    hosts = [Host("a" * 32, 9, 2, 3, AT), Host("b" * 32, 0, 0, 0, None)]
    named = name_hosts(hosts, Settings(relay_host_names={"berlin": "a" * 32, "away": "c" * 32}))
    samples = {
        (each.name, *each.labels.values()): each.value for family in expose_hosts(named) for each in family.samples
    }
    assert samples == {
        ("trading_host_trades_total", "berlin", "BUY"): 2,
        ("trading_host_trades_total", "berlin", "SELL"): 3,
        ("trading_host_trades_total", "b" * 32, "BUY"): 0,
        ("trading_host_trades_total", "b" * 32, "SELL"): 0,
        ("trading_host_last_trade_timestamp_seconds", "berlin"): read_seconds(AT),
    }


def test_hosts_past_the_limit_are_added_up() -> None:
    hosts = [Host(f"{n:032}", 1, 1, 2, AT if n % 2 else None) for n in range(HOST_LIMIT + 3)]
    named = name_hosts(hosts, Settings())
    assert len(named) == HOST_LIMIT + 1
    assert (named["other"].buys, named["other"].sells, named["other"].last_ts) == (3, 6, AT)
    assert sum(host.buys for host in named.values()) == len(hosts)
