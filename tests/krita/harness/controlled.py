"""A preset with everything that control layers and references need, made of the embedded model and random weights; and one
that has depth built in.
"""

from __future__ import annotations

from pathlib import Path

from diffusers import UNet2DConditionModel

from bridge.models.folder import EMBEDDED_FOLDER
from tests.tiny_adapters import make_source
from tests.tiny_models import make_tiny_controlnet

NAME = "controlled"
KINDS = ("depth", "scribble", "canny", "normal", "pose")
"""Normals are worked out from the embedded model's depth; for poses there is nothing that could."""
BUILT_IN = "built_in"

_PRESET = """\
label = "Controlled"
native = 128

[model]
embedded = true

[sampling]
steps = 4
guidance = 1.0
scheduler = "ddim"
detail = 0.0
"""


def add_controlled_preset(home: Path) -> None:
    """Give a bridge's home the preset NAME: controls of all KINDS, and an IP-Adapter. Before the bridge starts."""
    net = make_tiny_controlnet(EMBEDDED_FOLDER, home / "controlnet")
    unet = UNet2DConditionModel.from_pretrained(EMBEDDED_FOLDER / "unet")
    adapter = make_source(home / "adapter", unet)
    controls = "".join(f'\n[control.{kind}]\nfolder = "{net}"\n' for kind in KINDS)
    references = (
        f'\n[ip_adapter]\nfile = "{adapter.file}"\nimage_encoder = "{adapter.image_encoder}"\n'
    )
    (home / "presets" / f"{NAME}.toml").write_text(_PRESET + controls + references)


def add_depth_preset(home: Path) -> None:
    """Give it the preset BUILT_IN, of a model with a depth channel that cannot be loaded: only its UNet's config is there."""
    unet = home / "depth" / "unet"
    unet.mkdir(parents=True)
    (unet / "config.json").write_text('{"in_channels": 5}')
    model = f'folder = "{unet.parent}"'
    text = _PRESET.replace("Controlled", "Built in").replace("embedded = true", model)
    (home / "presets" / f"{BUILT_IN}.toml").write_text(text)
