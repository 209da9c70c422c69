"""The folders of the bridge's home that painters put files into: the bridge reads them, the docker shows the way to them."""

from __future__ import annotations

LORAS, EMBEDDINGS, HYPERNETWORKS, VAES = "loras", "embeddings", "hypernetworks", "vaes"
PRESETS, MODELS = "presets", "models"

PAINTERS_OWN = (PRESETS, MODELS, LORAS, EMBEDDINGS, HYPERNETWORKS, VAES)
