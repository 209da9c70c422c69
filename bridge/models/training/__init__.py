"""How the embedded model is made: paint, train, export, measure.

Reading order: ``colours`` and ``canvas`` (what a stroke is), ``things`` (what can be drawn),
``scenes``, ``media`` and ``captions`` (where things stand, what they are painted with, how a painter
would ask for them), ``painter`` (one seed gives one painting), ``dataset`` (paintings as latents on
disk) and ``paintings`` (fresh ones), ``tokens`` and ``networks`` (the model).

Trainings: ``denoiser`` (``soup`` takes the mean of two); on ``loop``: ``decoder`` (the VAE's and the
preview's), ``depth`` (the depth estimator, by ``optimiser``'s Muon); on top of the finished model, with ``finetune``: ``controlnet``, ``few_steps``, ``style``
(a LoRA), ``word`` (a textual inversion). Then ``export``.

Measuring: ``judge``, ``outlines`` and ``recogniser`` (trained on ``examples``, how often it errs:
``calibration``) look at pixels; ``obey``, ``number_and_time``, ``edits``, ``redrawing``,
``fidelity`` and ``variants`` ask; ``results`` says how sure the answer is; ``evaluate`` and ``card``
write it down.

Nothing here is needed to run the model: what it makes is loaded by the same code as any other
checkpoint. ``python -m bridge.models.training --help`` lists the steps.
"""

from __future__ import annotations

DATA_VERSION = 9
"""Raised whenever the painter, the captions or the latents change what a seed gives."""
