"""What every test finds: an environment without leftovers, a bridge on request, tiny models made once."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

from krita_plugin.krita_bridge.wire.runfile import RunFile
from tests import figures
from tests.bridge_process import PATIENCE, BridgeProcess, bridge_process

# The tests' tensors are tiny: on a busy machine two threads take many times as long as one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

_LEFTOVERS = ("KRITA_BRIDGE_HOME", "KRITA_BRIDGE_LAUNCH", "KRITA_BRIDGE_THREADS", "COLUMNS")
for _name in list(os.environ):
    # Before anything reads them: whoever runs the tests may use the bridge, a hub's mirror, or a proxy.
    if _name in _LEFTOVERS or _name.startswith("HF_") or _name.lower().endswith("_proxy"):
        del os.environ[_name]
os.environ |= {"HF_HUB_ETAG_TIMEOUT": f"{PATIENCE:g}", "HF_HUB_DOWNLOAD_TIMEOUT": f"{PATIENCE:g}"}

# A run in the background ignores Ctrl+C, and so would the commands that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Every run tries the same examples, however slow the machine: a failure means that the code has changed.
# `pytest --hypothesis-profile=explore` looks for new ones.
_ANY_SPEED = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    print_blob=True,
)
settings.register_profile("explore", parent=_ANY_SPEED)
settings.register_profile("same", parent=_ANY_SPEED, derandomize=True, database=None)
settings.load_profile("same")


_own, _leave = os.getpid(), os._exit


def _leave_loudly(status: int) -> NoReturn:
    _leave(70 if status == 0 and os.getpid() == _own else status)


# Code under test that ends its process must not end this one as if every test had passed.
os._exit = _leave_loudly


@pytest.fixture(autouse=True)
def _figures(record_property: Callable[[str, object], None]) -> Iterator[None]:
    """What a test found goes into its report."""
    figures.taken()
    yield
    for name, value in figures.taken():
        record_property(name, value)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[BridgeProcess]:
    """A bridge over the fake worker, whose home is `tmp_path`."""
    with bridge_process(tmp_path) as running:
        yield running


@pytest.fixture
def bridge(process: BridgeProcess) -> RunFile:
    """The run file of `process`."""
    return process.wait_until_listening()


@pytest.fixture
def bridge_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The bridge's home in this process, so that no test leaves anything in the developer's."""
    folder = tmp_path / "home"
    monkeypatch.setenv("KRITA_BRIDGE_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def sd15(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny SD 1.5 in diffusers layout; not to be changed."""
    from tests.tiny_models import make_tiny_sd15

    return make_tiny_sd15(tmp_path_factory.mktemp("tiny") / "sd15")


@pytest.fixture(scope="session")
def sd2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny SD 2 in diffusers layout; not to be changed."""
    from tests.tiny_models import make_tiny_sd2

    return make_tiny_sd2(tmp_path_factory.mktemp("tiny") / "sd2")


@pytest.fixture(scope="session")
def sdxl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny SDXL in diffusers layout; not to be changed."""
    from tests.tiny_models import make_tiny_sdxl

    return make_tiny_sdxl(tmp_path_factory.mktemp("tiny") / "sdxl")


@pytest.fixture
def own_sd15(sd15: Path, tmp_path: Path) -> Path:
    """A tiny SD 1.5 that a test may change."""
    return Path(shutil.copytree(sd15, tmp_path / "own"))
