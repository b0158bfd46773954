import pytest

from common.hosts import HostRule, RequestRejectedError, is_same_origin


@pytest.fixture
def rule() -> HostRule:
    return HostRule("Web.Lan", ("desk.example", "sidecar"), origins=("https://App.example", "*"))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:8000",
        "192.168.7.9:1",
        "[::1]",
        "[::1]:8000",
        "[fe80::1]:65535",
        "[::ffff:10.0.0.1]",
        "localhost",
        "LOCALHOST:5000",
        "localhost.",
        "desk.localhost:8000",
        "a.b.localhost",
        "web.lan",
        "WEB.LAN:80",
        "desk.example",
        "desk.example.:443",
        "sidecar:8001",
    ],
)
def test_an_address_localhost_the_configured_and_the_allowed_names_pass(rule: HostRule, host: str) -> None:
    rule.check_host(host, None, "HTTP/1.1")


@pytest.mark.parametrize(
    "host",
    [
        "",
        " ",
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "evillocalhost",
        ".localhost",
        "a..localhost",
        "127.0.0.1.evil.example",
        "127.1",
        "0x7f.1",
        "2130706433",
        "::1",
        "[::1",
        "[127.0.0.1]",
        "[fe80::1%25evil.example]",
        "[::1]x",
        "sub.desk.example",
        "desk.example,evil.example",
        "user@localhost",
        "localhost/evil",
        "localhost:",
        "localhost:0x1",
        "localhost:65536",
        "localhost:8000:8000",
        "localhost evil",
        "\u017fidecar",
        "\uff11\uff12\uff17.0.0.1",
        "a" * 10_000,
    ],
)
def test_any_other_host_is_rejected_and_shown_shortened(rule: HostRule, host: str) -> None:
    with pytest.raises(RequestRejectedError, match="ALLOWED_HOSTS") as caught:
        rule.check_host(host, None, "HTTP/1.1")
    assert caught.value.reason == "host"
    assert len(caught.value.detail) < 300
    assert caught.value.detail.isascii()


def test_only_http_1_0_may_leave_the_host_out(rule: HostRule) -> None:
    rule.check_host(None, "/metrics", "HTTP/1.0")
    for version in ("HTTP/1.1", "HTTP/1.9", "HTTP/2", ""):
        with pytest.raises(RequestRejectedError, match="Host is missing"):
            rule.check_host(None, "/metrics", version)


def test_a_target_with_an_authority_must_name_the_host_again(rule: HostRule) -> None:
    rule.check_host("sidecar:8001", "http://sidecar:8001/metrics", "HTTP/1.1")
    rule.check_host("localhost:8000", "HTTP://LOCALHOST:8000?x", "HTTP/1.1")
    rule.check_host("localhost", "/?next=http://evil.example/", "HTTP/1.1")
    rule.check_host("localhost", "//evil.example/", "HTTP/1.1")
    rule.check_host("localhost", "*", "HTTP/1.1")
    for target in ("http://evil.example/", "http://localhost:81/", "http:///metrics", "ftp://localhost@evil.example/"):
        with pytest.raises(RequestRejectedError, match="request target"):
            rule.check_host("localhost", target, "HTTP/1.1")
    with pytest.raises(RequestRejectedError):
        rule.check_host(None, "http://evil.example/", "HTTP/1.0")


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:8000", "localhost:8000"),
        ("https://localhost:8000", "localhost:8000"),
        ("http://LocalHost:8000", "localhost.:8000"),
        ("https://desk.example", "desk.example"),
        ("http://desk.example", "desk.example"),
        ("https://desk.example", "desk.example:443"),
        ("http://desk.example", "desk.example:80"),
        ("https://desk.example:443", "desk.example"),
        ("http://[::1]:8000", "[0:0::1]:8000"),
    ],
)
def test_an_origin_is_the_same_when_host_and_port_agree_under_any_scheme(origin: str, host: str) -> None:
    assert is_same_origin(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:8001", "localhost:8000"),
        ("http://localhost", "localhost:8000"),
        ("http://localhost:8000", "localhost"),
        ("https://desk.example", "desk.example:80"),
        ("http://evil.example:8000", "localhost:8000"),
        ("http://127.0.0.1:8000", "localhost:8000"),
        ("http://localhost.evil.example:8000", "localhost:8000"),
        ("chrome-extension://localhost:8000", "localhost:8000"),
        ("null", "localhost:8000"),
        ("", "localhost:8000"),
        ("localhost:8000", "localhost:8000"),
        ("http://localhost:8000/", "localhost:8000"),
        ("http://localhost:8000, http://localhost:8000", "localhost:8000"),
        ("http://localhost:8000", ""),
    ],
)
def test_any_other_origin_is_foreign(origin: str, host: str) -> None:
    assert not is_same_origin(origin, host)


def test_a_write_is_allowed_without_origin_or_from_the_same_or_a_configured_one() -> None:
    rule = HostRule("127.0.0.1", origins=("https://App.example",))
    for method, origin in [
        ("POST", None),
        ("POST", "http://localhost:8000"),
        ("POST", "https://app.example"),
        ("GET", "https://evil.example"),
        ("HEAD", "null"),
        ("OPTIONS", "https://evil.example"),
    ]:
        rule.check_origin(method, origin, "localhost:8000")
    for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW", "get"):
        for origin in ("https://evil.example", "http://app.example", "null", "", "x" * 9000):
            with pytest.raises(RequestRejectedError, match="Origin") as caught:
                rule.check_origin(method, origin, "localhost:8000")
            assert caught.value.reason == "origin"
            assert len(caught.value.detail) < 300


def test_with_a_wildcard_every_origin_may_write_except_null() -> None:
    rule = HostRule("127.0.0.1", origins=("*",))
    rule.check_origin("POST", "https://app.example", "localhost:8000")
    with pytest.raises(RequestRejectedError):
        rule.check_origin("POST", "null", "localhost:8000")
