"""A hub on loopback: the few endpoints that huggingface_hub uses to fetch a model, served from a folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MAIN = "main"


@dataclass
class HubStandIn:
    """`repositories`: "owner/name" to a folder. `gated` ones answer as the hub does to strangers.

    `break_after`: bytes of a file's body after which the connection is cut; None: never. `fetched`
    collects the paths of the files whose bodies were asked for.
    """

    repositories: dict[str, Path]
    gated: set[str] = field(default_factory=set)
    break_after: int | None = None
    fetched: list[str] = field(default_factory=list)
    url: str = ""

    def files(self, repository: str) -> dict[str, Path]:
        root = self.repositories[repository]
        found = (path for path in sorted(root.rglob("*")) if path.is_file())
        return {path.relative_to(root).as_posix(): path for path in found}


@contextmanager
def serving(hub: HubStandIn) -> Iterator[HubStandIn]:
    """Serves `hub` on a free port of 127.0.0.1 while the block runs."""

    class Handler(_Handler):
        stand_in = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    stand_in: HubStandIn
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *_args: object) -> None:
        """Silent: pytest shows what matters."""

    def _answer(self, body: bool) -> None:
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        is_api = parts[:2] == ["api", "models"]
        owner, name, *rest = parts[2:] if is_api else parts
        repository = f"{owner}/{name}"
        if repository not in self.stand_in.repositories:
            return self._refuse(404, "RepoNotFound")
        if repository in self.stand_in.gated:
            return self._refuse(403, "GatedRepo")
        if rest[1:] and rest[1] not in (MAIN, COMMIT):
            return self._refuse(404, "RevisionNotFound")
        files = self.stand_in.files(repository)
        if is_api and rest[0] == "revision":
            return self._send_json(_model_info(repository, files))
        if is_api and rest[0] == "tree":
            return self._send_json(_tree(files))
        path = "/".join(rest[2:])
        if path not in files:
            return self._refuse(404, "EntryNotFound")
        return self._send_file(path, files[path].read_bytes(), body)

    def _send_json(self, content: object) -> None:
        data = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _send_file(self, path: str, data: bytes, body: bool) -> None:
        start = 0
        if span := self.headers.get("Range"):
            start = int(span.removeprefix("bytes=").split("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("Accept-Ranges", "bytes")
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if not body:
            return
        self.stand_in.fetched.append(path)
        limit = self.stand_in.break_after
        self.wfile.write(data[start:] if limit is None else data[start : start + limit])
        if limit is not None and limit < len(data) - start:
            self.close_connection = True

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _model_info(repository: str, files: dict[str, Path]) -> dict[str, object]:
    siblings = [{"rfilename": name, "size": path.stat().st_size} for name, path in files.items()]
    return {
        "id": repository,
        "modelId": repository,
        "sha": COMMIT,
        "siblings": siblings,
        "tags": [],
    }


def _tree(files: dict[str, Path]) -> list[dict[str, object]]:
    return [
        {
            "type": "file",
            "path": name,
            "size": path.stat().st_size,
            "oid": hashlib.sha256(path.read_bytes()).hexdigest()[:40],
        }
        for name, path in files.items()
    ]
