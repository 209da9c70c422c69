"""Another VAE for the embedded model, whose pictures tell that it was used."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file, save_file

from bridge.models.folder import EMBEDDED_FOLDER

EMBEDDED_VAE = EMBEDDED_FOLDER / "vae/diffusion_pytorch_model.safetensors"


def write_tinted(own: Path, path: Path) -> Path:
    """Write the VAE (an AutoencoderTiny) in `own` to `path`, so changed that what it decodes has more red and less blue."""
    tensors = load_file(own)
    last = max((n for n in tensors if n.startswith("decoder")), key=lambda n: int(n.split(".")[2]))
    bias = tensors[last.rpartition(".")[0] + ".bias"]
    bias += bias.new_tensor([0.3, 0.0, -0.3])
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)
    return path
