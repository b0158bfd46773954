"""The OpenAPI document: valid, and the same as the routes, both ways."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.webapp.described import describe_api, resolve, write_path
from webapp.description import Answer, Description, find_description, list_operations
from webapp.input.query import BarsSchema, BlotterSchema, FeedSchema, MarketSchema, PageSchema, SymbolsSchema
from webapp.input.schemas import BatchTradeSchema, TradeSchema
from webapp.openapi import build_document
from webapp.reasons import COMMON_REASONS, ROUTE_REASONS
from webapp.server.malformed import _KINDS, _UNREADABLE


def list_described(document: dict[str, Any]) -> set[str]:
    return {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}


def list_routes(app: Flask) -> set[str]:
    return {f"{method} {write_path(rule.rule)}" for rule, method in list_operations(app)}


def list_media() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in describe_api()["paths"].items():
        for method, operation in methods.items():
            bodies = [operation["requestBody"]] if "requestBody" in operation else []
            for place in [*bodies, *map(resolve, operation["responses"].values())]:
                for kind, media in place.get("content", {}).items():
                    yield f"{method} {path} {kind}", media


def test_the_document_is_valid() -> None:
    assert list(OpenAPIV31SpecValidator(describe_api()).iter_errors()) == []
    assert describe_api()["openapi"].startswith("3.1.")


def test_every_route_is_described_and_every_described_route_exists(app: Flask) -> None:
    assert list_described(describe_api()) == list_routes(app)
    app.add_url_rule("/new", "trades.new", lambda: "", methods=["PUT"])
    assert list_routes(app) - list_described(build_document(app)) == {"PUT /new"}
    app.view_functions["trades.new"] = Description(answers={200: Answer("None")})(lambda: "")
    assert list_described(build_document(app)) == list_routes(app)


def test_a_route_cannot_name_an_unknown_reason(app: Flask) -> None:
    app.add_url_rule("/new", "trades.new", Description(answers={}, problems=("mood",))(lambda: ""))
    with pytest.raises(KeyError, match="mood"):
        build_document(app)


def test_every_description_has_an_answer_and_a_summary(app: Flask) -> None:
    for rule, _ in list_operations(app):
        description = find_description(app, rule.endpoint)
        assert description is not None
        assert description.answers
    for methods in describe_api()["paths"].values():
        assert all(operation["summary"] for operation in methods.values())


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("/trades", PageSchema),
        ("/feed", FeedSchema),
        ("/market", MarketSchema),
        ("/market/bars", BarsSchema),
        ("/market/symbols", SymbolsSchema),
        ("/blotter", BlotterSchema),
        ("/blotter.csv", BlotterSchema),
        ("/blotter.json", BlotterSchema),
    ],
)
def test_every_parameter_of_a_schema_is_described(path: str, schema: Any) -> None:  # noqa: ANN401 - a schema's class
    parameters = [each for each in describe_api()["paths"][path]["get"]["parameters"] if each.get("in") == "query"]
    assert [each["name"] for each in parameters] == list(schema().fields)
    for each in parameters:
        field = schema().fields[each["name"]]
        assert each["description"] == field.expected
        assert each["required"] == field.required
        assert each["schema"].get("default") == (None if field.required else field.load_default)


@pytest.mark.parametrize(("name", "schema"), [("Trade", TradeSchema), ("BatchTrade", BatchTradeSchema)])
def test_every_field_of_a_trade_is_described(name: str, schema: type[TradeSchema]) -> None:
    fields, model = schema().fields, describe_api()["components"]["schemas"][name]
    assert list(model["properties"]) == list(fields)
    assert set(model["required"]) == {name for name, field in fields.items() if field.required}
    assert model["additionalProperties"] is False


def test_every_example_fits_its_model() -> None:
    found = list(list_media())
    components = {"components": {"schemas": describe_api()["components"]["schemas"]}}
    for where, media in found:
        if "example" in media:
            errors = list(OAS31Validator(media["schema"] | components).iter_errors(media["example"]))
            assert errors == [], where
    # Only pages and files of plain text need none.
    bare = {where.split()[-1] for where, media in found if "example" not in media}
    assert bare == {"text/html", "image/svg+xml", "text/csv", "text/plain", "application/openmetrics-text"}


def test_a_status_and_a_reason_are_listed_once() -> None:
    listed = [(reason.status, reason.name) for reason in (*ROUTE_REASONS, *COMMON_REASONS)]
    assert len(listed) == len(set(listed))
    assert len({reason.name for reason in ROUTE_REASONS}) == len(ROUTE_REASONS)


def test_every_reason_is_named_by_a_route() -> None:
    named = {
        name
        for methods in describe_api()["paths"].values()
        for each in methods.values()
        for _, name in each["x-problems"]
    }
    assert named == {reason.name for reason in ROUTE_REASONS}


def test_the_problems_of_any_request_are_those_of_the_server() -> None:
    malformed = {(problem.status, problem.reason) for problem in (*_KINDS.values(), _UNREADABLE)}
    connections = {(408, "head_timeout"), (429, "address_limit"), (503, "worker_limit"), (503, "file_descriptors")}
    application = {(400, "host"), (500, "bug")}
    assert {(each.status, each.name) for each in COMMON_REASONS} == malformed | connections | application
