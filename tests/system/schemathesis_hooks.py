"""What schemathesis cannot know by itself: how lines of JSON are sent."""

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def send_lines(_: schemathesis.SerializationContext, value: object) -> bytes:
    return str(value).encode(errors="surrogatepass")
