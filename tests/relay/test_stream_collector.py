"""What a relay over a stream exposes and shows."""

from prometheus_client.parser import text_string_to_metric_families

from common.errors import RelayError
from relay.collector import make_scrape
from relay.landing import write_stream_landing
from relay.stream_collector import StreamCollector
from relay.stream_status import REASONS, StreamStatus
from tests.conftest import JOURNAL_ID


def expose(status: StreamStatus) -> dict[tuple[str, ...], float]:
    body, _ = make_scrape(StreamCollector(status, {"token": 3}, lambda: 100.0))("", [])
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def test_every_reason_and_the_connection_are_exposed_from_the_start() -> None:
    samples = expose(StreamStatus("push", "tls://a"))
    assert samples["relay_connected", "push", "tls://a"] == 0
    for reason in REASONS:
        assert samples["relay_errors_total", "push", "tls://a", reason] == 0
    assert samples["relay_ack_seconds_count", "push"] == 0
    assert samples["relay_http_requests_rejected_total", "token"] == 3
    assert not [name for name in samples if name[0] == "relay_last_seq"]


def test_a_journal_has_its_numbers() -> None:
    status = StreamStatus("pull", "tls://a")
    own = status.find(JOURNAL_ID)
    own.last_seq, own.journal_last_seq, own.seen_at, own.waiting_since = 7, 9, 5.5, 98.0
    own.events, own.duplicates, own.rewinds, own.fenced, own.conflicts = 1, 2, 3, 4, 5
    status.acks.observe(0.02)
    status.acks.observe(5.0)
    status.succeed()
    samples = expose(status)
    for name, value in {
        "relay_last_seq": 7,
        "relay_journal_last_seq": 9,
        "relay_lag_events": 2,
        "relay_lag_seconds": 2,
        "relay_host_last_seen_timestamp_seconds": 5.5,
        "relay_events_total": 1,
        "relay_duplicates_total": 2,
        "relay_rewinds_total": 3,
        "relay_fenced_total": 4,
        "relay_conflicts_total": 5,
    }.items():
        assert samples[name, "pull", JOURNAL_ID] == value
    assert samples["relay_connected", "pull", "tls://a"] == 1
    assert samples["relay_ack_seconds_bucket", "pull", "0.025"] == 1
    assert samples["relay_ack_seconds_bucket", "pull", "+Inf"] == 2
    assert samples["relay_ack_seconds_sum", "pull"] == 5.02


def test_what_the_stream_was_made_otherwise_with_is_exposed_when_it_is_known() -> None:
    status = StreamStatus("pull", "tls://a")
    assert not [name for name in expose(status) if name[0] == "relay_stream_differs"]
    status.differs = {"discard": True, "max_age": False}
    samples = expose(status)
    assert [samples["relay_stream_differs", "pull", each] for each in status.differs] == [1, 0]


def test_the_page_names_each_journal_and_what_is_wrong() -> None:
    status = StreamStatus("push", "tls://<a>")
    status.find(JOURNAL_ID).wrong = "seq 6 is another trade"
    page = write_stream_landing(status, {"Desk": "http://d"}).decode()
    for text in ("tls://&lt;a&gt;", JOURNAL_ID, "seq 6 is another trade", "it was not reached yet", 'href="http://d"'):
        assert text in page
    status.succeed()
    assert status.describe() == f"{JOURNAL_ID}: seq 6 is another trade"
    status.fail(RelayError("full", "no room"))
    assert status.describe() == "full: no room"
