"""The `websockets` package for Krita's own Python: pure Python, from its hash-pinned wheel.

pip fetches the wheel once and it is kept under the bridge's home; its hash is checked at every use.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from bridge.errors import BridgeError, Code

VERSION = "13.1"
WHEEL = f"websockets-{VERSION}-py3-none-any.whl"
SHA256 = "a9a396a6ad26130cdae92ae10c36af09d9bfe6cafe69670fd3b6da9b07b4044f"

# What `import websockets.sync.client` loads (`async_timeout` before Python 3.11 only), and nothing of the servers and asyncio clients beside it.
MODULES = (
    "__init__",
    "asyncio/__init__",
    "asyncio/async_timeout",
    "asyncio/compatibility",
    "client",
    "datastructures",
    "exceptions",
    "extensions/__init__",
    "extensions/base",
    "extensions/permessage_deflate",
    "frames",
    "headers",
    "http11",
    "imports",
    "legacy/__init__",
    "legacy/client",
    "legacy/exceptions",
    "legacy/framing",
    "legacy/handshake",
    "legacy/http",
    "legacy/protocol",
    "protocol",
    "streams",
    "sync/__init__",
    "sync/client",
    "sync/connection",
    "sync/messages",
    "sync/utils",
    "typing",
    "uri",
    "utils",
    "version",
)


def websockets_files(home: Path) -> dict[str, bytes]:
    """The package's files by their path under `websockets/`, its licence among them.

    Fetches the wheel when the cache under `home` does not have it. Raises BridgeError when it cannot, or
    when the wheel is not the pinned one.
    """
    with zipfile.ZipFile(io.BytesIO(_wheel(home))) as wheel:
        files = {f"{name}.py": wheel.read(f"websockets/{name}.py") for name in MODULES}
        files["LICENSE"] = wheel.read(f"websockets-{VERSION}.dist-info/LICENSE")
    return files


def _wheel(home: Path) -> bytes:
    cached = home / "cache" / WHEEL
    if cached.is_file():
        data = cached.read_bytes()
        if hashlib.sha256(data).hexdigest() == SHA256:
            return data
    data = _fetch()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise BridgeError(
            Code.REFUSED,
            f"The package websockets {VERSION} that pip fetched is not the expected one.",
            "Check which package index pip uses.",
        )
    cached.parent.mkdir(parents=True, exist_ok=True)
    partial = cached.with_suffix(".part")
    partial.write_bytes(data)
    partial.replace(cached)
    return data


def _fetch() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        requirements.write_text(f"websockets=={VERSION} --hash=sha256:{SHA256}\n", "utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--require-hashes", "--only-binary", ":all:", "--platform", "any"]
        command += ["--python-version", "3.8", "--implementation", "py", "--abi", "none"]
        command += ["--disable-pip-version-check", "--dest", folder, "-r", str(requirements)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        fetched = Path(folder) / WHEEL
        if done.returncode or not fetched.is_file():
            said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            why = f" ({said[-1].removeprefix('ERROR: ')})" if said else ""
            raise BridgeError(
                Code.NOT_RUNNING,
                f"The package websockets {VERSION}, which the plugin needs, could not be fetched{why}.",
                "Connect to the network once and try again.",
            )
        return fetched.read_bytes()
