"""The model in memory, and what a job may add to it: LoRAs and textual inversions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bridge.engine.condition import PromptEncoder
from bridge.engine.request import Settings
from bridge.models.adapters import Adapters
from bridge.models.embeddings import Embeddings
from bridge.models.hashing import HashCache
from bridge.models.library import Library
from bridge.models.loaded import LoadedModel
from bridge.presets import ModelSource
from krita_plugin.krita_bridge.wire.messages import UsedWeights, WeightsKind

LORAS, EMBEDDINGS = "loras", "embeddings"
"""The folders of the bridge's home that painters put such files into."""


class Held:
    """`source` is where the model came from."""

    def __init__(self, source: ModelSource, model: LoadedModel, home: Path) -> None:
        self.source = source
        self.model = model
        widths = [int(text.model.config.hidden_size) for text in model.text]
        embeddings = Embeddings(Library(home / EMBEDDINGS, "textual inversion"), widths)
        self.encoder = PromptEncoder(model, embeddings)
        self._hashes = HashCache(home)
        self._adapters = Adapters(model, Library(home / LORAS, "LoRA"), self._hashes)

    def prepare(self, settings: Settings) -> tuple[UsedWeights, ...]:
        """Have in the model what the prompts name, and nothing else of that kind; returns what is in use beside the
        model, its VAE included where that is not its own.

        Raises BridgeError when a LoRA is missing or does not fit.
        """
        adapters, changed = self._adapters.use(settings.loras)
        if changed:
            self.encoder.forget()
        loras = (UsedWeights(WeightsKind.LORA, a.name, a.sha256, a.strength) for a in adapters)
        return (*loras, *self._embeddings(settings), *self._vae())

    def _vae(self) -> Iterator[UsedWeights]:
        swapped = self.model.swapped_vae
        if swapped is not None:
            yield UsedWeights(WeightsKind.VAE, swapped.name, swapped.sha256)

    def _embeddings(self, settings: Settings) -> Iterator[UsedWeights]:
        for found in self.encoder.embeddings(settings.positive, settings.negative):
            sha256 = self._hashes.sha256(found.path, lambda _: None)
            yield UsedWeights(WeightsKind.EMBEDDING, found.name, sha256)
