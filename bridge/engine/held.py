"""The model in memory, and what a job may add to it: LoRAs, hypernetworks, textual inversions, another VAE."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from diffusers import AutoencoderTiny

from bridge.engine.condition import PromptEncoder
from bridge.engine.control_detectors import Detectors
from bridge.engine.control_held import Controls
from bridge.engine.reference import References
from bridge.engine.request import Settings
from bridge.models.adapters import Adapter, Adapters
from bridge.models.control import ControlNets
from bridge.models.device import recorder
from bridge.models.embeddings import Embeddings
from bridge.models.graphed import Graphed, GraphedTinyVae
from bridge.models.guided import evaluate
from bridge.models.hashing import HashCache
from bridge.models.hypernetwork import Hypernetworks
from bridge.models.library import Library
from bridge.models.load import own_folder
from bridge.models.loaded import LoadedModel
from bridge.models.vae import Vaes
from bridge.presets import ModelSource
from krita_plugin.krita_bridge.wire.folders import EMBEDDINGS, HYPERNETWORKS, LORAS, VAES
from krita_plugin.krita_bridge.wire.messages import UsedWeights, WeightsKind


class Held:
    """`source` is where the model came from."""

    def __init__(self, source: ModelSource, model: LoadedModel, home: Path) -> None:
        self.source = source
        self.model = model
        own = own_folder(source)

        def library(name: str, kind: str) -> Library:
            return Library(home / name, kind, own / name if own is not None else None)

        widths = [int(text.model.config.hidden_size) for text in model.text]
        embeddings = Embeddings(library(EMBEDDINGS, "textual inversion"), widths)
        self.encoder = PromptEncoder(model, embeddings)
        record = recorder(model.device)
        self._graphs: list[Graphed | GraphedTinyVae] = []
        self._recorded = model.draft
        let_go = None
        if record is not None:
            unet = Graphed(partial(evaluate, model.unet), record)
            let_go = unet.forget
            self._graphs.append(unet)
            self._recorded = replace(model.draft, graphed=unet)
            if isinstance(model.draft.vae, AutoencoderTiny):
                vae = GraphedTinyVae(model.draft.vae, record)
                self._graphs.append(vae)
                self._recorded = replace(self._recorded, vae=vae)
        self._hashes = HashCache(home)
        self._adapters = Adapters(model, library(LORAS, "LoRA"), self._hashes)
        hypernetworks = library(HYPERNETWORKS, "hypernetwork")
        self._hypernetworks = Hypernetworks(model, hypernetworks, self._hashes)
        self._vaes = Vaes(model, library(VAES, "VAE"), self._hashes)
        self.references = References(model, self._hashes)
        nets = ControlNets(model, own, self._hashes, let_go)
        self.controls = Controls(model, nets, Detectors(model, own, self._hashes))

    def painter(self, settings: Settings, is_shown_pictures: bool) -> LoadedModel:
        """The model as it paints this job. Drafts are asked for again and again in the same size: that is worth a graph,
        unless something hooks into the UNet. A tiny VAE that makes drafts does so whatever VAE is asked for.

        Raises BridgeError when the VAE that is asked for is missing or does not fit.
        """
        model = self.model
        if settings.draft:
            hooked = bool(settings.hypernetworks) or is_shown_pictures
            model = model.draft if hooked else self._recorded
        by_tiny_vae = settings.draft and self.model.draft is not self.model
        return self._vaes.into(model, settings.vae) if settings.vae and not by_tiny_vae else model

    def rest(self) -> None:
        """Nobody waits: time for what makes the next drafts faster, one thing at a time, for the next edit may be near."""
        if self._hypernetworks.is_any_in_use:
            return  # of the job before: a graph would keep what they do
        with torch.inference_mode():
            any(each.record() for each in self._graphs)

    def prepare(self, settings: Settings, painter: LoadedModel) -> tuple[UsedWeights, ...]:
        """Have in the model what the prompts name, and nothing else of that kind; returns what is in use beside the
        model, the VAE of `painter` included where that is not its own.

        Raises BridgeError when a LoRA or hypernetwork is missing or does not fit.
        """
        hypernetworks, _ = self._hypernetworks.use(settings.hypernetworks)
        loras, changed = self._adapters.use(settings.loras)
        if changed:
            self.encoder.forget()
        return (
            *_used(WeightsKind.LORA, loras),
            *_used(WeightsKind.HYPERNETWORK, hypernetworks),
            *self._embeddings(settings),
            *_vae(painter),
        )

    def _embeddings(self, settings: Settings) -> Iterator[UsedWeights]:
        for found in self.encoder.embeddings(settings.positive, settings.negative):
            sha256 = self._hashes.sha256(found.path, lambda _: None)
            yield UsedWeights(WeightsKind.EMBEDDING, found.name, sha256)


def _used(kind: WeightsKind, adapters: Iterable[Adapter]) -> Iterator[UsedWeights]:
    return (UsedWeights(kind, each.name, each.sha256, each.strength) for each in adapters)


def _vae(model: LoadedModel) -> Iterator[UsedWeights]:
    swapped = model.swapped_vae
    if swapped is not None:
        yield UsedWeights(WeightsKind.VAE, swapped.name, swapped.sha256)
