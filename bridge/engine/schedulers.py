"""The schedulers by the names that requests and presets use, made from a model's own configuration."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import diffusers
import torch
from diffusers.schedulers.scheduling_euler_discrete import rescale_zero_terminal_snr

from bridge.engine.lms import LinearMultistepScheduler
from bridge.errors import BridgeError, Code
from krita_plugin.krita_bridge.wire.schedulers import identify


@dataclass(frozen=True)
class _Kind:
    """A scheduler class, or the name of diffusers' one, and its options."""

    cls: str | type
    options: Mapping[str, Any] = field(default_factory=dict)


_KARRAS = {"use_karras_sigmas": True}
_DPMPP, _SDE = {"algorithm_type": "dpmsolver++"}, {"algorithm_type": "sde-dpmsolver++"}
_MULTISTEP, _SINGLESTEP = "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler"

SCHEDULERS: Mapping[str, _Kind] = {
    "euler": _Kind("EulerDiscreteScheduler"),
    "euler_karras": _Kind("EulerDiscreteScheduler", _KARRAS),
    "euler_a": _Kind("EulerAncestralDiscreteScheduler"),
    "heun": _Kind("HeunDiscreteScheduler"),
    "heun_karras": _Kind("HeunDiscreteScheduler", _KARRAS),
    "lms": _Kind(LinearMultistepScheduler),
    "lms_karras": _Kind(LinearMultistepScheduler, _KARRAS),
    "dpmpp_2m": _Kind(_MULTISTEP, _DPMPP),
    "dpmpp_2m_karras": _Kind(_MULTISTEP, {**_DPMPP, **_KARRAS}),
    "dpmpp_2m_sde": _Kind(_MULTISTEP, _SDE),
    "dpmpp_2m_sde_karras": _Kind(_MULTISTEP, {**_SDE, **_KARRAS}),
    "dpmpp_sde": _Kind(_SINGLESTEP, _SDE),
    "dpmpp_sde_karras": _Kind(_SINGLESTEP, {**_SDE, **_KARRAS}),
    "unipc": _Kind("UniPCMultistepScheduler"),
    "ddim": _Kind("DDIMScheduler"),
    "ddpm": _Kind("DDPMScheduler"),
    "lcm": _Kind("LCMScheduler"),
}

_ALWAYS = {"clip_sample": False, "thresholding": False}
"""Latents have no natural range to clip to, and clipping would make a step non-linear (`schedule`)."""


def make_scheduler(name: str, config: Mapping[str, Any]) -> Any:
    """The diffusers scheduler `name` with the model's betas, prediction type and spacing.

    A model with zero terminal SNR starts at its last timestep (Lin et al., Common diffusion noise
    schedules and sample steps are flawed, 2023), so its spacing is "trailing" unless the model says
    otherwise. Raises BridgeError for an unknown name.
    """
    kind = SCHEDULERS.get(identify(name) or "")
    if kind is None:
        hint = f"Choose one of: {', '.join(SCHEDULERS)}."
        raise BridgeError(Code.UNKNOWN_SCHEDULER, f"There is no scheduler {name!r}.", hint)
    cls = getattr(diffusers, kind.cls) if isinstance(kind.cls, str) else kind.cls
    known = inspect.signature(cls).parameters
    merged = dict(config)
    if merged.get("rescale_betas_zero_snr"):
        merged.setdefault("timestep_spacing", "trailing")
        if "rescale_betas_zero_snr" not in known:
            merged["trained_betas"] = _zero_snr_betas(merged)
    merged |= {**kind.options, **_ALWAYS}
    return cls(**{key: value for key, value in merged.items() if key in known})


def _zero_snr_betas(config: Mapping[str, Any]) -> list[float]:
    """The rescaled betas, for schedulers that cannot rescale them.

    As diffusers does for Euler, the last cumulative alpha is 2**-24 and not 0: sigma stays finite.
    """
    kept = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas")
    make: Callable[..., Any] = diffusers.DDIMScheduler
    plain = make(**{key: config[key] for key in kept if key in config})
    cumulative = torch.cumprod(1 - rescale_zero_terminal_snr(plain.betas).double(), dim=0)
    cumulative[-1] = 2**-24
    before = torch.cat([torch.ones(1, dtype=torch.float64), cumulative[:-1]])
    betas: list[float] = (1 - cumulative / before).tolist()
    return betas
