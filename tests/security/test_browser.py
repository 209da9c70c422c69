"""A web page in a real Chromium tries the bridge's door: no websocket, no answer that it may read."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from websockets.sync.server import serve

from krita_plugin.krita_bridge.wire import proof
from krita_plugin.krita_bridge.wire.runfile import RunFile
from tests.bridge_process import PATIENCE, BridgeProcess

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)"),
]

PAGE = """<!DOCTYPE html><title>page</title><script>
const attempts = %s;
const dial = url => new Promise(done => {
  const socket = new WebSocket(url);
  socket.onopen = () => done("opened");
  socket.onerror = () => done("refused");
});
const read = (url, options) => fetch(url, options).then(
  answer => answer.type === "opaque" ? "unreadable" : "read " + answer.status, () => "refused");
(async () => {
  const told = {};
  for (const [name, [url, options]] of Object.entries(attempts))
    told[name] = await (url.startsWith("ws") ? dial(url) : read(url, options));
  await fetch("/told", {method: "POST", body: JSON.stringify(told)});
})();
</script>"""


@contextlib.contextmanager
def page_of(attempts: dict[str, tuple[str, object]]) -> Iterator[tuple[str, queue.Queue[str]]]:
    """Serve the page on a port of its own; gives its address and what it tells."""
    told: queue.Queue[str] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer((PAGE % json.dumps(attempts)).encode(), "text/html")

        def do_POST(self) -> None:
            told.put(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self._answer(b"", "text/plain")

        def _answer(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Silent: pytest shows what matters."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/", told
        finally:
            server.shutdown()


@contextlib.contextmanager
def chromium(url: str, profile: Path) -> Iterator[None]:
    assert CHROMIUM is not None
    with (profile / "printed").open("wb") as printed:
        browser = subprocess.Popen(
            [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", url],
            env={**os.environ, "HOME": str(profile)},
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield
    finally:
        os.killpg(browser.pid, signal.SIGKILL)
        browser.wait()


@contextlib.contextmanager
def open_door() -> Iterator[int]:
    """A websocket server that lets everyone in: it shows that the browser's attempts are real ones."""
    with serve(lambda connection: connection.recv(), "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.socket.getsockname()[1]


def test_a_page_in_a_browser_gets_no_websocket_and_no_answer(
    process: BridgeProcess, bridge: RunFile, tmp_path: Path
) -> None:
    key = "AAAAAAAAAAAAAAAAAAAAAA=="
    stolen = {proof.PROOF_HEADER: proof.client_proof(bridge.token, bridge.port, key)}
    profile = tmp_path / "profile"
    profile.mkdir()
    with open_door() as elsewhere:
        attempts: dict[str, tuple[str, object]] = {
            "another websocket": (f"ws://127.0.0.1:{elsewhere}/", None),
            "websocket": (f"ws://127.0.0.1:{bridge.port}/v1", None),
            "websocket by name": (f"ws://localhost:{bridge.port}/v1", None),
            "fetch": (f"http://127.0.0.1:{bridge.port}/v1", {}),
            "fetch with a stolen proof": (
                f"http://127.0.0.1:{bridge.port}/v1",
                {"headers": stolen},
            ),
            "blind fetch": (f"http://127.0.0.1:{bridge.port}/", {"mode": "no-cors"}),
        }
        with page_of(attempts) as (url, told), chromium(url, profile):
            got = json.loads(told.get(timeout=PATIENCE))
    assert got == {
        "another websocket": "opened",
        "websocket": "refused",
        "websocket by name": "refused",
        "fetch": "refused",
        "fetch with a stolen proof": "refused",
        "blind fetch": "unreadable",
    }
    log = (process.home / "log" / "bridge.log").read_text()
    assert log.count("Web pages may not talk to the bridge.") >= len(attempts) - 1
