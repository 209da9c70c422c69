"""Lets the test suite look inside a throwaway Krita.

Installed in test homes only, never shipped. Silent unless the harness that started this Krita
set a token.
"""

from __future__ import annotations

import os

if os.environ.get("KRITA_TEST_AGENT_TOKEN"):
    from . import faults

    faults.record()

    from . import server

    agent = server.start(
        os.environ["KRITA_TEST_AGENT_FILE"], os.environ.pop("KRITA_TEST_AGENT_TOKEN")
    )
