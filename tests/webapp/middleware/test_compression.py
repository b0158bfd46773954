import gzip

from flask.testing import FlaskClient

from tests.conftest import ROOT

STYLES = "/static/app.css"


def test_a_static_file_is_compressed_for_clients_that_accept_it(client: FlaskClient) -> None:
    body = (ROOT / "static" / "app.css").read_bytes()
    plain = client.get(STYLES, buffered=True)
    assert plain.data == body
    assert "Content-Encoding" not in plain.headers
    compressed = client.get(STYLES, headers={"Accept-Encoding": "gzip, deflate, br"}, buffered=True)
    assert gzip.decompress(compressed.data) == body
    assert len(compressed.data) < len(body) / 2
    assert compressed.headers["Content-Length"] == str(len(compressed.data))
    assert plain.headers["Vary"] == compressed.headers["Vary"] == "Accept-Encoding"
    assert client.get(STYLES, headers={"Accept-Encoding": "gzip;q=0"}, buffered=True).data == body


def test_a_compressed_file_that_has_not_changed_is_not_sent_again(client: FlaskClient) -> None:
    accepts = {"Accept-Encoding": "gzip"}
    etag = client.get(STYLES, headers=accepts, buffered=True).headers["ETag"]
    assert etag.startswith('W/"')
    again = client.get(STYLES, headers=accepts | {"If-None-Match": etag}, buffered=True)
    assert (again.status_code, again.data) == (304, b"")


def test_a_part_of_a_file_and_an_answer_with_a_token_are_not_compressed(client: FlaskClient) -> None:
    part = client.get(STYLES, headers={"Accept-Encoding": "gzip", "Range": "bytes=0-9"}, buffered=True)
    assert (part.status_code, len(part.data)) == (206, 10)
    for route in ("/", "/trades"):
        assert "Content-Encoding" not in client.get(route, headers={"Accept-Encoding": "gzip"}, buffered=True).headers
