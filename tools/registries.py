"""The five base registries of the demonstration, each a process: ``python -m tools.registries population 8002``.

They answer as docs/operators.md says of a source, from the made-up records of ``demonstration/``: 304 while nothing has
changed, and page by page. Nothing here imports the service; only what is served knows its identifiers.
"""

import argparse
import hashlib
import json
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tools.processes import HOST, ROOT

DATA = ROOT / "demonstration"
PAGE = 20
NAMES = ("population", "entities", "credit", "licences", "geography")


def records_of(name: str) -> list[dict[str, Any]]:
    """What a register holds: the records of the items that its source may bring."""
    (source,) = [s for s in _toml("sources.toml")["sources"] if s["source_id"] == name]
    identifiers = {h["key"]: h["identifier"] for h in _toml("people.toml")["holders"]}
    return [
        {"identifier": identifiers[r["holder"]], "item": r["item"], "as_of": r["as_of"], "rows": r["rows"]}
        for file in sorted((DATA / "records").glob("*.toml"))
        for r in _toml(f"records/{file.name}")["records"]
        if r["item"] in source["items"]
    ]


def server(name: str, port: int) -> ThreadingHTTPServer:
    """The server of one register, ready to serve."""
    records = records_of(name)
    etag = f'"{hashlib.sha256(json.dumps(records).encode()).hexdigest()[:16]}"'

    class Register(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if url.path != "/records":
                self.send_error(404)
            elif self.headers.get("If-None-Match") == etag:
                self.send_response(304)
                self.send_header("ETag", etag)
                self.end_headers()
            else:
                self._answer(int(parse_qs(url.query).get("from", ["0"])[0]))

        def _answer(self, start: int) -> None:
            following = f"/records?from={start + PAGE}" if start + PAGE < len(records) else None
            body = json.dumps({"records": records[start : start + PAGE], "next": following}).encode()
            self.send_response(200)
            for header, value in (("Content-Type", "application/json"), ("Content-Length", str(len(body)))):
                self.send_header(header, value)
            self.send_header("ETag", etag)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing: the terminal belongs to the service."""

    return ThreadingHTTPServer((HOST, port), Register)


def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads((DATA / name).read_text("utf-8"))


def main() -> None:
    """Serve one register until somebody stops it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("port", type=int)
    asked = parser.parse_args()
    server(asked.name, asked.port).serve_forever()


if __name__ == "__main__":
    main()
