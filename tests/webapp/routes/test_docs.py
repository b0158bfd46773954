import json
import re

import pytest
from flask.testing import FlaskClient

from tests.webapp.described import describe_api
from webapp.reasons import COMMON_REASONS, ROUTE_REASONS
from webapp.routes.docs import mark_code


def test_the_document_is_sent_with_the_prefix_that_the_client_sees(client: FlaskClient) -> None:
    answer = client.get("/openapi.json")
    assert answer.mimetype == "application/json"
    expected = json.loads(json.dumps(describe_api()))
    assert answer.json == expected | {"servers": [{"url": "/"}]}
    behind = client.get("/openapi.json", environ_overrides={"SCRIPT_NAME": "/desk"})
    assert (behind.json or {})["servers"] == [{"url": "/desk"}]


def test_the_page_has_every_route_parameter_model_and_reason(client: FlaskClient) -> None:
    page, document = client.get("/docs").text, describe_api()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert f'<h2 id="{operation["operationId"]}"><code>{method.upper()} {path}</code></h2>' in page
            for each in operation["parameters"]:
                assert "$ref" in each or f"<code>{each['name']}</code>" in page
    for name in document["components"]["schemas"]:
        assert f'<h3 id="model-{name}">' in page
    for reason in (*ROUTE_REASONS, *COMMON_REASONS):
        assert f'id="{reason.status}-{reason.name}"' in page


def test_every_link_of_the_page_leads_to_a_part_of_it(client: FlaskClient) -> None:
    page = client.get("/docs").text
    targets = [link.partition('"')[0] for link in page.split('href="#')[1:]]
    assert len(targets) > 50
    assert [target for target in targets if page.count(f'id="{target}"') != 1] == []


def test_the_page_runs_no_script_and_loads_nothing_from_elsewhere(client: FlaskClient) -> None:
    page = client.get("/docs").text
    # Each page has the choice of the theme.
    assert re.findall(r"<script[^>]*>", page) == ['<script src="/static/theme.js">']
    assert "style=" not in page
    assert 'src="http' not in page


@pytest.mark.parametrize(
    ("text", "html"), [("a `b` c", "a <code>b</code> c"), ("<i> `<b>`", "&lt;i&gt; <code>&lt;b&gt;</code>")]
)
def test_marked_text_is_escaped(text: str, html: str) -> None:
    assert mark_code(text) == html
