"""An inbox to see e-mails in, behind a mail server that speaks SMTP.

Started by the embedded stack: the real adapter talks to it over a socket. What must stay true: it takes letters from this machine alone,
keeps the last `KEPT` of them in memory, and nothing of it runs outside embedded mode.
"""

import asyncio
import contextlib
import html
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_bytes, policy
from typing import Any

from litestar import MediaType, Response, Router, get

from shared.kernel.clock import Clock

KEPT = 500
LINE_MAX = 64_000
LETTER_MAX = 1_000_000
# A conversation that stands still for so long is over (seconds).
SILENT_SECONDS = 60.0
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Letter:
    """One e-mail. `at` is business time (what people see)."""

    sender: str
    to: str
    subject: str
    body: str
    message_id: str
    at: datetime


@dataclass
class Inbox:
    """The mail server and its page. `answers`: what it says to the next letters in the place of taking them, `None` to break the line
    after the letter, which it then has taken."""

    clock: Clock
    letters: deque[Letter] = field(default_factory=lambda: deque(maxlen=KEPT))
    answers: deque[str | None] = field(default_factory=deque)
    port: int = 0
    _server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on a free port, which `port` names."""
        self._server = await asyncio.start_server(self._serve, HOST, 0, limit=LINE_MAX)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """No letter comes any more."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def router(self) -> Router:
        """`/dev/inbox` for people, `/dev/inbox/messages` for programs."""

        @get("/dev/inbox")
        async def show_inbox() -> Response[str]:
            return Response(_page(reversed(self.letters)), media_type=MediaType.HTML, headers={"cache-control": "no-store"})

        @get("/dev/inbox/messages")
        async def list_letters(to: str | None = None) -> dict[str, Any]:
            found = [letter for letter in self.letters if to is None or letter.to == to]
            items = [
                {"from": one.sender, "to": one.to, "subject": one.subject, "body": one.body, "id": one.message_id, "sent_at": one.at}
                for one in found
            ]
            return {"items": items, "next_cursor": None}

        return Router("/", route_handlers=[show_inbox, list_letters], include_in_schema=False)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.LimitOverrunError, ValueError, TimeoutError):
            await self._talk(reader, writer)
        writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to: list[str] = []
        writer.write(b"220 amends inbox\r\n")
        while line := await asyncio.wait_for(reader.readline(), SILENT_SECONDS):
            verb = line.strip().upper().partition(b" ")[0]
            answer = {b"EHLO": "250-amends\r\n250 8BITMIME", b"QUIT": "221 bye", b"DATA": "354 go on"}.get(verb, "250 ok")
            if verb == b"RCPT":
                to.append(line.decode("ascii", "replace").partition("<")[2].partition(">")[0])
            writer.write(f"{answer}\r\n".encode())
            await writer.drain()
            if verb == b"QUIT":
                return
            if verb == b"DATA":
                said = self.answers.popleft() if self.answers else "250 taken"
                raw = await _letter_of(reader)
                if said is None or said.startswith("250"):
                    self._take(raw, to)
                if said is None:
                    return
                writer.write(f"{said}\r\n".encode())
                to = []

    def _take(self, raw: bytes, to: list[str]) -> None:
        letter = message_from_bytes(raw, policy=policy.default)
        body = letter.get_body(("plain",))
        text = str(body.get_content()).replace("\r\n", "\n").strip() if body is not None else ""
        for one in to:
            self.letters.append(
                Letter(str(letter["From"]), one, str(letter["Subject"]), text, str(letter["Message-ID"]), self.clock.now())
            )  # fmt: skip


async def _letter_of(reader: asyncio.StreamReader) -> bytes:
    """Up to the line with a single dot; a line that began with one has lost the first of two."""
    lines: list[bytes] = []
    size = 0
    while (line := await asyncio.wait_for(reader.readline(), SILENT_SECONDS)) not in (b".\r\n", b""):
        size += len(line)
        if size > LETTER_MAX:
            raise ValueError("the letter is too long")
        lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
    return b"".join(lines)


def _page(letters: Any) -> str:
    shown = "".join(_shown(letter) for letter in letters) or "<p>No e-mails yet.</p>"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta http-equiv="refresh" content="3"><title>Amends: the inbox</title>'
        '<link rel="stylesheet" href="/static/console.css"></head><body><main class="narrow"><h1>The inbox</h1>'
        f'<p class="sub">Every e-mail that leaves, as people get it.</p>{shown}</main></body></html>'
    )


def _shown(letter: Letter) -> str:
    parts = []
    for word in letter.body.split(" "):
        lines = word.split("\n")
        parts.append("\n".join(_linked(line) for line in lines))
    return (
        f'<article class="card"><h2>{html.escape(letter.subject)}</h2><p><small>To {html.escape(letter.to)}, '
        f'<time datetime="{letter.at.isoformat()}">{letter.at:%a %d %b, %H:%M} UTC</time></small></p>'
        f'<p class="note">{" ".join(parts)}</p></article>'
    )


def _linked(word: str) -> str:
    safe = html.escape(word)
    return f'<a href="{safe}">{safe}</a>' if word.startswith(("http://", "https://")) else safe
