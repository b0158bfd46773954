"""The schema that all others extend: it rejects unknown fields, and names them."""

import itertools
from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar

from marshmallow import RAISE, Schema

from common.display import shorten

T = TypeVar("T")

UNKNOWN_NAMED: Final = 10
"""The most unknown names that an answer lists."""


class StrictSchema(Schema, Generic[T]):
    """A schema that rejects unknown fields, and lists the known ones."""

    word = "field"

    class Meta:
        """Reject unknown fields."""

        unknown = RAISE

    def read(self, given: Mapping[str, Any]) -> T:
        """Read values. Raises marshmallow's ValidationError, with at most UNKNOWN_NAMED unknown names, shortened."""
        if not given.keys() <= self.fields.keys():
            known = {name: value for name, value in given.items() if name in self.fields}
            unknown = (name for name in given if name not in self.fields)
            given = known | dict.fromkeys(map(shorten, itertools.islice(unknown, UNKNOWN_NAMED)))
        loaded: T = self.load(given)
        return loaded

    def __init__(self) -> None:
        super().__init__()
        self.error_messages["unknown"] = f"unknown {self.word}; expected one of these ({', '.join(self.fields)})"
