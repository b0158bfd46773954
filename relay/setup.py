"""Setting up the stream: an administrator makes it once; it is never changed here (docs/decisions/0084)."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from common.settings import Settings
from relay.access import read_access
from relay.broker import connect

MESSAGE_BYTES_MAX: Final = 1024 * 1024
"""Twice the largest message of a pusher, for the headers and for what later versions may add."""


def write_config(settings: Settings) -> Mapping[str, Any]:
    """Write how the stream is made: every trade stays for ``max_age``, and when it is full, the new ones wait."""
    return {
        "subjects": ["trades.*"],
        "storage": "file",
        "num_replicas": settings.relay_replicas,
        "retention": "limits",
        "discard": "new",
        "max_age": settings.relay_max_age,
        "max_bytes": settings.relay_max_bytes,
        "max_msgs": -1,
        "max_msgs_per_subject": -1,
        "max_msg_size": MESSAGE_BYTES_MAX,
        "deny_delete": True,
        "deny_purge": True,
        "allow_direct": False,
    }


def set_up(settings: Settings) -> list[str]:
    """Make the stream if there is none, and return a line for each setting that another one has.

    Raises BadSettingError and RelayError.
    """
    read_access(settings)
    return asyncio.run(_set_up(settings))


async def _set_up(settings: Settings) -> list[str]:
    wanted = write_config(settings)
    async with connect(settings, "relay setup") as broker:
        found = await broker.find_config()
        if found is None:
            await broker.add_stream(wanted)
            found = await broker.find_config() or {}
    return [f"{name} is {found.get(name)!r}; expected {wanted[name]!r}" for name in list_differences(found, wanted)]


def list_differences(found: Mapping[str, object], wanted: Mapping[str, Any]) -> list[str]:
    """List what a stream was made otherwise with."""
    return [name for name, value in wanted.items() if found.get(name) != value]
