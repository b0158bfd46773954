import pytest

from common.accept_header import clean_accept


@pytest.mark.parametrize(
    ("given", "left"),
    [
        (None, ""),
        ("text/plain;version=0.0.4;q=0.3,*/*;q=0.2", "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"),
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6, text/plain",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain",
        ),
        ("text/plain; version = 1.0.0", "text/plain;version=1.0.0"),
        ("text/plain;version=x,application/json", "application/json"),
        ("text/plain;version=", ""),
        ("text/plain;version=1.0.0a;q=1", ""),
        ("text/plain;version=\u0663", ""),
        ("text/plain;version=1\r\nEvil: 1", ""),
        ('text/plain;version="1.0.0"', ""),
        (",,;,/", "/"),
    ],
)
def test_media_ranges_that_cannot_be_negotiated_are_dropped(given: str | None, left: str) -> None:
    assert clean_accept(given) == left
