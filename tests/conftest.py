"""Before any test imports torch."""

from __future__ import annotations

import os

# The tests' tensors are tiny: on a busy machine two threads take many times as long as one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
