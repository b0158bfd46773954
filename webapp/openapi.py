"""The OpenAPI document: made by apispec from the routes of the application and their descriptions."""

import http
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, get_args, get_origin

import msgspec
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask
from marshmallow import Schema, missing
from werkzeug.routing import Rule

from common import __version__
from common.credentials import SCOPES, SESSION
from common.hosts import SAFE_METHODS
from common.journal.file import JOURNAL_REASONS
from webapp.description import PAGE, Answer, Content, Description, Parameter, find_description, list_operations
from webapp.reasons import COMMON_REASONS, CREDENTIAL, RETRIED, WRITE, Problem, Reason, find_reasons

ABOUT: Final = """\
Accept trades, and read those that were accepted. A trade that is answered 201 is on disk, and is counted once.

Each GET route answers HEAD too, and each route OPTIONS. Another path is answered 404, another method 405 with `Allow`.
Problems are `application/problem+json`, or a page for a client whose `Accept` prefers `text/html`. `X-Request-ID` is in
every answer. Further members may be added to answers."""

_REQUEST_ID: Final = {
    "description": "The request's id, when it is 1 to 64 of `A-Z a-z 0-9 . _ -`; otherwise one is made",
    "schema": {"type": "string"},
    "example": "desk-7",
}

_TOKEN: Final = {
    "type": "http",
    "scheme": "bearer",
    "description": "A token with the scope that the route needs; while the server is open, none is needed",
}

_SIGN_IN: Final = {303: Answer("A browser without a session is sent to `/sign-in`", (PAGE,))}

_SCHEMAS: Final = "#/components/schemas/{name}"
_encoder = msgspec.json.Encoder(decimal_format="number")


def build_document(app: Flask) -> dict[str, Any]:
    """Build the document of an application: every described route with its parameters, bodies, statuses and reasons."""
    return _Builder(app).build()


class _Builder:
    def __init__(self, app: Flask) -> None:
        self._app = app
        plugin = MarshmallowPlugin()
        info = {"description": ABOUT, "license": {"name": "MIT", "identifier": "MIT"}}
        self._spec = APISpec("Trading Telemetry", __version__, "3.1.0", plugins=[plugin], info=info)
        # The fields of the schemas say themselves what they accept.
        plugin.converter.attribute_functions = [self._write_field]  # type: ignore[union-attr] # it is set by APISpec

    def build(self) -> dict[str, Any]:
        self._spec.components.header("X-Request-ID", {"description": "The request's id", "schema": {"type": "string"}})
        self._spec.components.header("Retry-After", {"description": "Seconds to wait", "schema": {"type": "string"}})
        self._spec.components.parameter("X-Request-ID", "header", _REQUEST_ID)
        self._spec.components.security_scheme("token", _TOKEN)
        for rule, method in list_operations(self._app):
            description = find_description(self._app, rule.endpoint)
            if description is not None:
                self._add(rule, method, description)
        return self._spec.to_dict()

    def _add(self, rule: Rule, method: str, description: Description) -> None:
        view = self._app.view_functions[rule.endpoint]
        scope = vars(view).get("needs")
        is_locked, writes = scope in {*SCOPES, SESSION}, method not in SAFE_METHODS
        names = [*description.problems, *(WRITE if writes else ()), *(CREDENTIAL if is_locked else ())]
        # A program with a token sends no other one.
        own = list(find_reasons([*names, *(["csrf"] if is_locked and writes else [])]))
        answers = (_SIGN_IN if is_locked else {}) | dict(description.answers)
        operation: dict[str, Any] = {
            "operationId": rule.endpoint.rpartition(".")[2],
            "tags": [rule.endpoint.partition(".")[0]],
            "summary": _read_summary(view.__doc__ or ""),
            "parameters": list(self._list_parameters(description)),
            "responses": dict(self._list_responses(answers, own)),
            # For pages that list the problems of any request once.
            "x-problems": [(str(reason.status), reason.name) for reason in own],
        }
        if scope in SCOPES:
            operation["security"] = [{"token": [scope]}]
        if description.body:
            operation["requestBody"] = {"required": True, "content": self._write_contents(description.body)}
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        self._spec.path(path, operations={method.lower(): operation})

    def _list_parameters(self, description: Description) -> Iterator[Any]:
        if description.query is not None:
            yield {"in": "query", "schema": description.query}
        yield from (self._write_parameter("path", each) for each in description.path)
        yield from (self._write_parameter("header", each) for each in description.headers)
        yield "X-Request-ID"

    def _write_parameter(self, place: str, given: Parameter) -> dict[str, Any]:
        return {
            "in": place,
            "name": given.name,
            "required": place == "path",
            "description": given.what,
            "schema": self._write_model(given.model),
            "example": given.example,
        }

    def _list_responses(self, answers: Mapping[int, Answer], own: list[Reason]) -> Iterator[tuple[str, Any]]:
        reasons = defaultdict[int, list[Reason]](list)
        for reason in [*own, *COMMON_REASONS]:
            reasons[reason.status].append(reason)
        for status in sorted({*answers, *reasons}):
            answer = answers.get(status)
            if answer is None:
                yield str(status), self._share_problem(status, reasons[status])
            else:
                yield str(status), self._write_response(status, answer, reasons[status])

    def _share_problem(self, status: int, reasons: list[Reason]) -> str:
        """Return the name of the response with these reasons, which many routes share."""
        name = ".".join([str(status), *(reason.name for reason in reasons)])
        if name not in self._spec.components.responses:
            answer = Answer(http.HTTPStatus(status).phrase)
            self._spec.components.response(name, self._write_response(status, answer, reasons))
        return name

    def _write_response(self, status: int, answer: Answer, reasons: list[Reason]) -> dict[str, Any]:
        headers: dict[str, Any] = {"X-Request-ID": "X-Request-ID"}
        headers |= {name: {"description": what, "schema": {"type": "string"}} for name, what in answer.headers.items()}
        if status in RETRIED:
            headers["Retry-After"] = "Retry-After"
        content = self._write_contents(answer.contents)
        if reasons:
            content = (
                self._write_contents([PAGE]) | content | {"application/problem+json": self._write_problem(reasons)}
            )
        lines = [answer.what, *(f"- `{reason.name}`: {reason.when}" for reason in reasons)]
        return {"description": "\n".join(lines), "headers": headers} | ({"content": content} if content else {})

    def _write_problem(self, reasons: list[Reason]) -> dict[str, Any]:
        names = [name for reason in reasons for name in _list_names(reason)]
        (status, *_), first = {reason.status for reason in reasons}, reasons[0]
        example: Problem = {
            "type": "about:blank",
            "title": http.HTTPStatus(status).phrase,
            "status": status,
            "detail": first.when,
            "reason": names[0],
            "request_id": "01a20885-1196-7def-a91d-e84e0a421415",
        }
        if first.errors:
            example["errors"] = first.errors
        limits = {"properties": {"status": {"const": status}, "reason": {"enum": names}}}
        return {"schema": {"allOf": [self._write_model(Problem), limits]}, "example": example}

    def _write_contents(self, contents: Iterable[Content]) -> dict[str, Any]:
        return {each.kind: self._write_content(each) for each in contents}

    def _write_content(self, content: Content) -> dict[str, Any]:
        written = {"schema": self._write_model(content.model)}
        if content.example is not None:
            written["example"] = json.loads(_encoder.encode(content.example))
        return written

    def _write_model(self, model: Any) -> Any:  # noqa: ANN401 - a schema class, or any type that msgspec knows
        if isinstance(model, type) and issubclass(model, Schema):
            # The plugin puts a reference in its place.
            return model
        if get_origin(model) is list:
            return {"type": "array", "items": self._write_model(*get_args(model))}
        (schema,), components = msgspec.json.schema_components([model], ref_template=_SCHEMAS)
        for name, component in components.items():
            if name not in self._spec.components.schemas:
                self._spec.components.schema(name, _adapt(_require(component)))
        return _adapt(schema)

    def _write_field(self, field: Any, **_: object) -> dict[str, Any]:  # noqa: ANN401 - one of webapp.input.fields
        written: dict[str, Any] = self._write_model(field.accepts)
        if getattr(field.parent, "ignores_empty", False):
            written = {"anyOf": [written, {"const": ""}]}
        written["description"] = field.expected
        if field.load_default is not missing and field.load_default is not None and not callable(field.load_default):
            written["default"] = field.load_default
        return written


def _read_summary(docstring: str) -> str:
    return re.split(r"\.(?:\s|$)", docstring)[0].replace("``", "`")


def _list_names(reason: Reason) -> list[str]:
    return [f"journal_{each}" for each in JOURNAL_REASONS] if reason.name == "journal" else [reason.name]


def _require(component: dict[str, Any]) -> dict[str, Any]:
    """Name the members that an answer always has: also those whose default is written when they have no value."""
    members = component.get("properties", {})
    required = {name for name, member in members.items() if "default" in member} | set(component.get("required", ()))
    return component | {
        "properties": {name: {k: v for k, v in each.items() if k != "default"} for name, each in members.items()},
        "required": [name for name in members if name in required],
    }


def _adapt(schema: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Write a schema for any language: the end of a text is ``$`` as in JavaScript, and docstrings are Markdown."""
    match schema:
        case {"format": "decimal"}:
            # Where a Decimal is answered, it is a number with all its digits.
            return {"type": "number"}
        case dict():
            return {name: _adapt(value) for name, value in schema.items()}
        case list():
            return [_adapt(value) for value in schema]
        case str():
            return schema.replace(r"\Z", "$").replace("``", "`")
    return schema
