"""What schemathesis cannot know by itself: how lines of JSON are sent, and a token of a webhook."""

import os
from typing import Any

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def send_lines(_: schemathesis.SerializationContext, value: object) -> bytes:
    return str(value).encode(errors="surrogatepass")


@schemathesis.hook
def map_path_parameters(_: schemathesis.HookContext, parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    if parameters and "token" in parameters:
        return parameters | {"token": os.environ["HOOK_TOKEN"]}
    return parameters
