"""The only place that plays a workflow of fixed slowness, in a process of its own: it writes when each request came.

python -m tests.bench.target <milliseconds> <ledger>: prints its port, then one line a request into the ledger.
"""

import asyncio
import sys
import time
from typing import TextIO

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


async def serve(slow_seconds: float, ledger: TextIO) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        came_at = time.time()
        headers = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:] if line)
        await reader.readexactly(int(headers["content-length"]))
        ledger.write(f"{came_at} {headers['idempotency-key']}\n")
        ledger.flush()
        await asyncio.sleep(slow_seconds)
        writer.write(ANSWER)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with open(sys.argv[2], "w") as out:
        asyncio.run(serve(int(sys.argv[1]) / 1000, out))
