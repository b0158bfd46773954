"""Compares every answer that the tests of the web process get with its description: status, content type, members."""

from functools import cache
from typing import Any, Final

from flask import Response, request
from openapi_schema_validator import OAS31Validator

from common.settings import Settings
from webapp import create_app
from webapp.description import UNLISTED
from webapp.openapi import build_document

METHODS: Final = {"HEAD": "get"}


@cache
def describe_api() -> dict[str, Any]:
    return build_document(create_app(Settings(secret_key="s" * 32)))


def write_path(rule: str) -> str:
    return rule.replace("<", "{").replace(">", "}")


def resolve(part: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in part:
        return part
    *_, kind, name = part["$ref"].split("/")
    found: dict[str, Any] = describe_api()["components"][kind][name]
    return found


def find_responses(path: str, method: str) -> dict[str, Any]:
    return {status: resolve(each) for status, each in describe_api()["paths"][path][method]["responses"].items()}


@cache
def make_validator(path: str, method: str, status: str, kind: str) -> OAS31Validator:
    """Make a validator that rejects members which are not described, though clients must expect them."""
    models = {
        name: {"additionalProperties": False} | model if "properties" in model else model
        for name, model in describe_api()["components"]["schemas"].items()
    }
    schema = find_responses(path, method)[status]["content"][kind]["schema"]
    return OAS31Validator({**schema, "components": {"schemas": models}})


def note_undescribed(noted: list[str], response: Response) -> Response:
    """Note what is not described of an answer of a described route."""
    path = write_path(request.url_rule.rule) if request.url_rule else ""
    if path not in describe_api()["paths"] or request.method == "OPTIONS":
        return response
    method, status, kind = (
        METHODS.get(request.method, request.method.lower()),
        str(response.status_code),
        response.mimetype or "",
    )
    where = f"{request.method} {path} {status} {kind}"
    responses = find_responses(path, method)
    if status not in responses or kind not in responses[status].get("content", {kind: None}):
        noted.append(where)
    elif "json" in kind and not response.is_streamed and request.method not in UNLISTED:
        validator = make_validator(path, method, status, kind)
        noted += [f"{where}: {error.message} at {error.json_path}" for error in validator.iter_errors(response.json)]
    for name in responses.get(status, {}).get("headers", {}):
        if name == "Retry-After" and "Retry-After" not in response.headers:
            noted.append(f"{where}: no Retry-After")
    return response
