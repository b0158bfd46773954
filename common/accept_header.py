"""The Accept header of a scrape, reduced to what prometheus_client's content negotiation can parse."""

import re

_RANGE = re.compile(r"[A-Za-z0-9*+.\-/]+(;[A-Za-z0-9_\-]+=[A-Za-z0-9_.\-]+)*")
_VERSION = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){0,3}")


def clean_accept(header: str | None) -> str:
    """Drop the media ranges that are malformed or have a non-numeric version, and all spaces.

    prometheus_client compares such a version as text and fails, and copies what it was sent into its answer.
    """
    ranges = (re.sub(r"[ \t]", "", each) for each in (header or "").split(","))
    return ",".join(each for each in ranges if _RANGE.fullmatch(each) and _has_numeric_versions(each))


def _has_numeric_versions(media_range: str) -> bool:
    parameters = [each.partition("=") for each in media_range.split(";")[1:]]
    return all(name != "version" or _VERSION.fullmatch(value) for name, _, value in parameters)
