"""The bridge: a local server between Krita and a diffusion model (see docs/journey.md)."""

from __future__ import annotations

__version__ = "0.1.0"
