"""What the relay exposes of its hosts."""

from prometheus_client.parser import text_string_to_metric_families

from relay.collector import RelayCollector, make_scrape
from relay.landing import write_landing
from relay.puller import REASONS, HostStatus
from tests.conftest import JOURNAL_ID


def expose(*hosts: HostStatus) -> dict[tuple[str, ...], float]:
    body, _ = make_scrape(RelayCollector(hosts, {"token": 3}))("", [])
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def test_every_host_and_reason_is_exposed_from_the_start() -> None:
    samples = expose(HostStatus("https://a"))
    assert samples["relay_connected", "pull", "https://a"] == 0
    assert samples["relay_conflicts_total", "pull", "https://a"] == 0
    for reason in REASONS:
        assert samples["relay_errors_total", "pull", "https://a", reason] == 0
    assert samples["relay_http_requests_rejected_total", "token"] == 3
    assert not [name for name in samples if name[0] == "relay_last_seq"]


def test_a_host_that_is_read_has_its_numbers_under_its_journal() -> None:
    host = HostStatus("https://a", JOURNAL_ID, 7, 5.5, 1.5, 6, 2, wrong=None)
    host.errors["conflict"] = 1
    samples = expose(host, HostStatus("https://b", JOURNAL_ID, 7, 5.5, 1.5, 6, 2, wrong=None))
    assert samples["relay_connected", "pull", "https://a"] == 1
    assert samples["relay_conflicts_total", "pull", "https://a"] == 1
    for name, value in {
        "relay_last_seq": 7,
        "relay_host_last_seen_timestamp_seconds": 5.5,
        "relay_lag_seconds": 1.5,
        "relay_events_total": 6,
        "relay_duplicates_total": 2,
    }.items():
        assert samples[name, "pull", JOURNAL_ID] == value


def test_the_page_names_each_host_and_what_is_wrong() -> None:
    page = write_landing([HostStatus("https://a", JOURNAL_ID, 7), HostStatus("<b>", wrong=None)], {"Desk": "http://d"})
    for word in (b"https://a", JOURNAL_ID.encode(), b"it was not asked yet", b"&lt;b&gt;", b'href="http://d"'):
        assert word in page
