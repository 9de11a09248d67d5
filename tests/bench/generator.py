"""The generator of a measurement, a process of its own: posts the events of a file to a running Amends and tells when each left.

`python -m tests.bench.generator URL KEY FILE BATCH LANES PER_SECOND`; PER_SECOND 0 is as fast as they are taken, else each event is a
request of its own at an even pace, whether or not the ones before were answered.
"""

import asyncio
import json
import sys
from pathlib import Path
from time import monotonic, process_time
from urllib.parse import urlsplit

BATCH_TYPE = "application/cloudevents-batch+json"


class Lane:
    """One connection that is kept open. It speaks just enough HTTP, so that the generator takes little of the machine it measures."""

    def __init__(self, url: str, key: str) -> None:
        self._where, self._key = urlsplit(url), key
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def post(self, body: bytes) -> None:
        """Raises RuntimeError for any answer but 202."""
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(self._where.hostname, self._where.port)
        head = (
            f"POST /v1/events HTTP/1.1\r\nhost: {self._where.netloc}\r\nauthorization: Bearer {self._key}\r\n"
            f"content-type: {BATCH_TYPE}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(answer.split("content-length: ", 1)[1].split("\r\n", 1)[0])
        said = await self._reader.readexactly(length)
        if " 202 " not in answer.split("\r\n", 1)[0] or b'"rejected":0' not in said:
            raise RuntimeError(f"{answer} {said[:500]!r}")


async def burst(lanes: list[Lane], bodies: list[bytes], sizes: list[int]) -> tuple[list[float], list[float]]:
    left: list[float] = []
    answered: list[float] = []
    waiting = iter(zip(bodies, sizes, strict=True))

    async def work(lane: Lane) -> None:
        for body, size in waiting:
            left.extend([monotonic()] * size)
            await lane.post(body)
            answered.extend([monotonic()] * size)

    await asyncio.gather(*(work(lane) for lane in lanes))
    return left, answered


async def paced(lanes: list[Lane], bodies: list[bytes], per_second: float) -> tuple[list[float], list[float]]:
    left, answered = [0.0] * len(bodies), [0.0] * len(bodies)
    free: asyncio.Queue[Lane] = asyncio.Queue()
    for lane in lanes:
        free.put_nowait(lane)

    async def one(n: int, body: bytes) -> None:
        left[n] = monotonic()
        lane = await free.get()
        await lane.post(body)
        answered[n] = monotonic()
        free.put_nowait(lane)

    began = monotonic()
    async with asyncio.TaskGroup() as tasks:
        for n, body in enumerate(bodies):
            await asyncio.sleep(max(began + n / per_second - monotonic(), 0))
            tasks.create_task(one(n, body))
    return left, answered


async def run(url: str, key: str, lines: list[bytes], batch: int, lanes: int, per_second: float) -> dict[str, object]:
    size = 1 if per_second else batch
    groups = [lines[at : at + size] for at in range(0, len(lines), size)]
    bodies, sizes = [b"[" + b",".join(group) + b"]" for group in groups], [len(group) for group in groups]
    connections = [Lane(url, key) for _ in range(lanes)]
    cpu, began = process_time(), monotonic()
    left, answered = await (paced(connections, bodies, per_second) if per_second else burst(connections, bodies, sizes))
    return {"began": began, "cpu": process_time() - cpu, "left": left, "answered": answered}


if __name__ == "__main__":
    url, key, file, batch, lanes, per_second = sys.argv[1:]
    print(json.dumps(asyncio.run(run(url, key, Path(file).read_bytes().split(b"\n"), int(batch), int(lanes), float(per_second)))))
