"""Descriptions: what a route takes and answers, declared at its view and published as OpenAPI.

A model is a marshmallow schema, or a type that msgspec writes: the published fields are those that the code reads and
writes.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

from flask import Flask
from werkzeug.routing import Rule

JSON: Final = "application/json"

UNLISTED: Final = frozenset({"HEAD", "OPTIONS"})
"""Methods that every route answers, and that are not described one by one."""

View = TypeVar("View", bound=Callable[..., Any])


class Content(NamedTuple):
    """A body of one content type: the model of what it holds, and an example."""

    kind: str
    model: Any = str
    example: Any = None


PAGE: Final = Content("text/html")


class Answer(NamedTuple):
    """An answer that is not a problem: what it means, its body in one of several types, and headers of its own."""

    what: str
    contents: tuple[Content, ...] = ()
    headers: Mapping[str, str] = {}


class Parameter(NamedTuple):
    """A request header, or a part of the path."""

    name: str
    what: str
    example: str
    model: Any = str


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a route takes and answers: a decorator of its view, whose docstring begins with what it does.

    ``problems`` names the reasons of ``webapp.reasons.ROUTE_REASONS``; those of any request are added.
    """

    answers: Mapping[int, Answer]
    problems: tuple[str, ...] = ()
    query: type | None = None
    headers: tuple[Parameter, ...] = ()
    path: tuple[Parameter, ...] = ()
    body: tuple[Content, ...] = ()

    def __call__(self, view: View) -> View:
        """Attach the description to a view."""
        vars(view)["description"] = self
        return view


def find_description(app: Flask, endpoint: str) -> Description | None:
    """Return the description of a route; None when it has none."""
    found: Description | None = vars(app.view_functions[endpoint]).get("description")
    return found


def list_operations(app: Flask) -> Iterator[tuple[Rule, str]]:
    """Yield each route with each of its methods; not the static files, which are parts of pages."""
    for rule in app.url_map.iter_rules():
        if rule.endpoint != "static":
            for method in sorted((rule.methods or set()) - UNLISTED):
                yield rule, method
