"""Models: of which kinds they are, where they lie, and how they come into memory.

Reading order: bridge/presets.py (where a model lies), `families` (the kinds), `weights` (looking into
a safetensors file, and into nothing else), `folder`, `single_file` and `hub` (the layouts), `parts`
(the checks they share), `load` (the one way in), `loaded` (what comes out), `preview` (latents to
colours), `checkpoints` (what painters put there without a preset) by `glances` (what the server
process asks of a file), `prediction` (what a UNet predicts). No pickle is ever opened.
"""
