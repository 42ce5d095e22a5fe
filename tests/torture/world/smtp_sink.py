"""A mail server (RFC 5321) that takes every message, writes it down before it says so, and delivers none. A program of its own:
`smtp_sink.py ADDRESS PORT FILE PREFIX`; recipients whose address begins with PREFIX hear 451 at every attempt.

One JSON object a line: `{"time", "peer", "to", "message"}` for a message that it took (its bytes as Latin-1), `{"time", "peer", "refused"}` for a
recipient that it refused.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

LONGEST_LINE = 1 << 20


class Sink:
    """The server's file and its one rule."""

    def __init__(self, file: Path, prefix: str):
        self._file = file.open("a")
        self.prefix = prefix

    def write(self, what: dict) -> None:
        """Writes a line that outlives the process."""
        self._file.write(json.dumps({"time": time.time(), **what}) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Nothing more comes."""
        self._file.close()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it ends in whatever way."""
        try:
            await Session(self, reader, writer).run()
        except (OSError, EOFError, ValueError):
            pass
        finally:
            writer.close()


class Session:
    """One client."""

    def __init__(self, sink: Sink, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.sink, self.reader, self.writer = sink, reader, writer
        self.peer = writer.get_extra_info("peername")[0]
        self.sender: str | None = None
        self.to: list[str] = []

    async def run(self) -> None:
        """Command after command."""
        await self.say("220 torture")
        while line := await self.reader.readline():
            verb, _, rest = line.decode("latin-1").strip().partition(" ")
            if verb.upper() == "QUIT":
                await self.say("221 bye")
                return
            await self.say(await self.answer(verb.upper(), rest))

    async def say(self, text: str) -> None:
        """One answer."""
        self.writer.write(text.encode("latin-1") + b"\r\n")
        await self.writer.drain()

    async def answer(self, verb: str, rest: str) -> str:
        """Does what a command wants; answers the answer."""
        match verb:
            case "EHLO":
                self.reset()
                return "250-torture\r\n250 8BITMIME"
            case "HELO" | "RSET":
                self.reset()
                return "250 well"
            case "MAIL":
                self.reset()
                self.sender = address(rest)
                return "250 well"
            case "RCPT":
                return self.recipient(address(rest))
            case "DATA":
                return await self.data()
            case "NOOP":
                return "250 well"
        return "502 not here"

    def reset(self) -> None:
        """A new message may begin."""
        self.sender, self.to = None, []

    def recipient(self, whom: str) -> str:
        """One recipient."""
        if self.sender is None:
            return "503 who sends it?"
        if whom.startswith(self.sink.prefix):
            self.sink.write({"peer": self.peer, "refused": whom})
            return "451 not this recipient, not now"
        self.to.append(whom)
        return "250 well"

    async def data(self) -> str:
        """The message: it is written down, and only then taken."""
        if not self.to:
            return "503 to whom?"
        await self.say("354 go on")
        lines: list[bytes] = []
        while (line := await self.reader.readline()) not in (b".\r\n", b".\n"):
            if not line.endswith(b"\n"):
                raise EOFError("the message was cut off")
            lines.append(line[1:] if line.startswith(b".") else line)
        self.sink.write({"peer": self.peer, "to": self.to, "message": b"".join(lines).decode("latin-1")})
        self.reset()
        return "250 taken"


def address(rest: str) -> str:
    """`FROM:<a@b>` or `TO:<a@b>` with whatever follows."""
    return rest.partition("<")[2].partition(">")[0]


async def serve(host: str, port: int, sink: Sink) -> asyncio.Server:
    """Listens."""
    return await asyncio.start_server(sink.talk, host, port, limit=LONGEST_LINE)


async def main(host: str, port: str, file: str, prefix: str) -> None:
    """Serves until it is killed."""
    server = await serve(host, int(port), Sink(Path(file), prefix))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
