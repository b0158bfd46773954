"""Publishes a port of a service, as an engine does: ``python -m tests.system.forward HOST PORT ADDRESS INSIDE``."""

import asyncio
import contextlib
import sys


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def main(host: str, port: str, address: str, inside: str) -> None:
    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answer, request = await asyncio.open_connection(address, int(inside))
        except OSError:
            writer.close()
            return
        await asyncio.gather(copy(reader, request), copy(answer, writer))

    server = await asyncio.start_server(forward, host, int(port))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
