#!/usr/bin/env python3
"""A witness of evidence logs (C2SP tlog-witness): it signs what it has seen, and never that a log has gone back.

    python witness.py make FOLDER NAME
    python witness.py key FOLDER
    python witness.py serve FOLDER --log KEY [--log KEY] [--host 127.0.0.1] [--port 7380]

"make" writes a key and an empty memory into a new folder and prints the witness's verifier key, as "key" does again:
give it, with the address of the witness, to those who run the logs, and to everybody who shall trust its cosignatures.
NAME: an address without "https://" that is yours, such as witness.example.org/1. "serve" answers POST /add-checkpoint
for the logs whose verifier keys are named, one process at a time for a folder. Put a proxy with TLS in front of it.

What it has seen is in the folder, on disk before it answers. Never bring back an older copy of it, and never begin
anew with the same key: it would sign a second history. If it is lost, make another witness.

Exit status: 0 stopped; 1 it cannot start. Needs Python 3.11, the package "cryptography", and signed.py and tlog.py
beside it; shares no code with the service.
"""

import argparse
import base64
import fcntl
import json
import os
import signal
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from signed import Refused
from tlog import Head, continues, h, is_number, load_key, read_checkpoint, read_key, signatures, unbase64

PATH = "/add-checkpoint"
LOG = b"\x01"  # the kind of a log's key, Ed25519
COSIGNATURE = b"\x04"  # the kind of the key, Ed25519 with a time (tlog-cosignature)
MAX_BODY = 64 * 1024
MAX_PROOF = 63  # lines
TEXT, SIZE = "text/plain; charset=utf-8", "text/x.tlog.size"
NOTHING = h(b"")  # the root of a log without entries


class Answer(NamedTuple):
    status: int
    body: str
    kind: str = TEXT


class Request(NamedTuple):
    """What was sent, parsed; nothing of it is checked."""

    old: int
    proof: list[bytes]
    note: bytes
    origin: str


class Key:
    """The key of the witness, from its file."""

    def __init__(self, path: Path) -> None:
        name, _number, material = path.read_text("utf-8").strip().removeprefix("PRIVATE+KEY+").split("+", 2)
        self.name = name
        self._private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(material)[1:])
        self._material = COSIGNATURE + self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self._number = h(name.encode() + b"\n" + self._material)[:4]

    def __str__(self) -> str:
        """The verifier key."""
        return f"{self.name}+{self._number.hex()}+{base64.b64encode(self._material).decode()}"

    def cosign(self, note: bytes, at: int) -> str:
        """The line to put below a checkpoint."""
        text = note.rpartition(b"\n\n")[0] + b"\n"
        signed = self._private.sign(f"cosignature/v1\ntime {at}\n".encode() + text)
        blob = self._number + struct.pack(">Q", at) + signed
        return f"— {self.name} {base64.b64encode(blob).decode()}\n"


class Memory:
    """The last checkpoint of each log, in a file that is there whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: dict[str, dict[str, str]] = json.loads(path.read_text("utf-8"))

    def last(self, origin: str) -> Head:
        """Of a log that was never seen, the empty one."""
        found = self._seen.get(origin)
        return Head(origin, int(found["size"]), bytes.fromhex(found["root"])) if found else Head(origin, 0, NOTHING)

    def keep(self, head: Head, note: bytes) -> None:
        """Returns once it is on disk: also after a power failure."""
        seen = {"size": str(head.size), "root": head.root.hex(), "note": note.decode()}
        new = {**self._seen, head.origin: seen}
        write(self._path, json.dumps(new, ensure_ascii=False, indent=1))
        self._seen = new


class Witness:
    """``logs``: the keys of the logs that it knows, by their origin."""

    def __init__(self, folder: Path, logs: dict[str, list[str]]) -> None:
        self.key = Key(folder / "key")
        self._memory = Memory(folder / "seen.json")
        self._logs = logs
        self._turn = threading.Lock()

    def answer(self, body: bytes) -> Answer:
        """The checks in the order of tlog-witness."""
        try:
            asked = parse(body)
        except (Refused, ValueError) as error:
            return Answer(400, f"{error}\n")
        if asked.origin not in self._logs:
            return Answer(404, "This log is not known here.\n")
        head = self._signed(asked)
        if head is None:
            return Answer(403, "The checkpoint is not signed with a key that is known here.\n")
        if asked.old > head.size:
            return Answer(400, "The old size is larger than the new one.\n")
        # From looking at the last checkpoint to keeping the next one nobody else may do the same: one of two could
        # otherwise take the log back behind the other.
        with self._turn:
            last = self._memory.last(head.origin)
            if asked.old != last.size or (head.size == last.size and head.root != last.root):
                return Answer(409, f"{last.size}\n", SIZE)
            if not continues(last, head, asked.proof):
                return Answer(422, "The proof does not lead from the last checkpoint to this one.\n")
            self._memory.keep(head, asked.note)
            # Here, too: as of the time that is signed, no larger tree may have been seen.
            return Answer(200, self.key.cosign(asked.note, int(time.time())))

    def _signed(self, asked: Request) -> Head | None:
        for key in self._logs[asked.origin]:
            try:
                return read_checkpoint(asked.note, key)
            except Refused:
                continue
        return None


def parse(body: bytes) -> Request:
    """Read the body of a request. Raises Refused, ValueError."""
    above, blank, note = body.partition(b"\n\n")
    first, *lines = above.decode("ascii").split("\n")
    old = first.removeprefix("old ")
    if not blank or not first.startswith("old ") or not is_number(old) or len(lines) > MAX_PROOF:
        raise ValueError("An old size, a proof, an empty line and a checkpoint are expected.")
    proof = [unbase64(line, "A hash of the proof", "证明中的哈希") for line in lines]
    if any(len(found) != 32 for found in proof):
        raise ValueError("A hash of the proof has another length.")
    text, _blank, below = note.decode().rpartition("\n\n")
    list(signatures(below))  # well-formed all of them, known or not
    return Request(int(old), proof, note, text.partition("\n")[0])


def write(path: Path, text: str) -> None:
    """Replace a file at once, on disk before this returns."""
    new = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


class Handler(BaseHTTPRequestHandler):
    """One connection. ``server.witness`` answers."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "witness", ""
    timeout = 20  # seconds that a connection may be silent
    server: "Server"

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not is_number(length) or int(length) > MAX_BODY:
            self.close_connection = True
            self._send(Answer(413 if is_number(length) else 411, "A body of at most 64 kB is expected.\n"))
            return
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True
            return
        self._send(self.server.witness.answer(body) if self.path == PATH else Answer(404, "Nothing is here.\n"))

    def do_GET(self) -> None:
        known = {"/healthz": "ok\n", "/key": f"{self.server.witness.key}\n"}
        self._send(Answer(200, known[self.path]) if self.path in known else Answer(404, "Nothing is here.\n"))

    def _send(self, answer: Answer) -> None:
        body = answer.body.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Addresses are nobody's business."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], witness: Witness) -> None:
        self.witness = witness
        super().__init__(address, Handler)


def make(folder: Path, name: str) -> str:
    """A new witness; its verifier key. Raises Refused."""
    if not name or "+" in name or any(letter.isspace() for letter in name):
        raise Refused("The name has a plus sign or a space, or is empty.", "名称为空，或含有加号、空格。")
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        raise Refused(f"{folder} is there already.", f"{folder} 已存在。") from None
    private = Ed25519PrivateKey.generate()
    material = COSIGNATURE + private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    number = h(name.encode() + b"\n" + material)[:4].hex()
    seed = base64.b64encode(COSIGNATURE + private.private_bytes_raw()).decode()
    write(folder / "seen.json", "{}")
    write(folder / "key", f"PRIVATE+KEY+{name}+{number}+{seed}\n")
    return str(Key(folder / "key"))


def serve(folder: Path, keys: list[str], host: str, port: int) -> None:
    """Until SIGTERM or Ctrl-C. Raises Refused."""
    logs: dict[str, list[str]] = {}
    for key in map(load_key, keys):
        origin, _number, public = read_key(key)
        if public[:1] != LOG:
            raise Refused("The key is not the key of a log.", "这不是存证链的公钥。")
        logs.setdefault(origin, []).append(key)
    if not (folder / "key").is_file() or not (folder / "seen.json").is_file():
        raise Refused(f"In {folder} is no whole witness.", f"{folder} 中没有完整的见证者。")
    lock = os.open(folder / "key", os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Refused("This witness runs already.", "该见证者已在运行。") from None
    with Server((host, port), Witness(folder, logs)) as server:

        def stop(_signal: int, _frame: FrameType | None) -> None:
            threading.Thread(target=server.shutdown).start()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        print(f"{server.witness.key} at http://{host}:{server.server_port}", flush=True)
        server.serve_forever(poll_interval=0.1)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="A witness of evidence logs.")
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make", help="make a key and an empty memory")
    making.add_argument("folder", type=Path)
    making.add_argument("name", help="of the witness, such as witness.example.org/1")
    telling = commands.add_parser("key", help="print the verifier key")
    telling.add_argument("folder", type=Path)
    serving = commands.add_parser("serve", help="answer")
    serving.add_argument("folder", type=Path)
    serving.add_argument("--log", action="append", required=True, help="the verifier key of a log, or a file with it")
    serving.add_argument("--host", default="127.0.0.1")
    serving.add_argument("--port", type=int, default=7380, help="0: any that is free")
    given = parser.parse_args(arguments)
    try:
        if given.command == "make":
            print(make(given.folder, given.name))
        elif given.command == "key":
            print(Key(given.folder / "key"))
        else:
            serve(given.folder, given.log, given.host, given.port)
    except (Refused, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
