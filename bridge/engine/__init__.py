"""From a request and a capture of the canvas to a result layer. Imports no aiohttp and knows no socket.

Reading order: `types` (what goes in and out), `request` (a job made complete), `plan` (which pixels, at
what size), `mask`, `prefill`, `color`, `resample` and `composite` (pixels), `condition` (text), `noise`,
`schedulers` and `schedule` (the steps), `guidance` and `sample` (the loop), `latent` (the VAE), `match` (its colours),
`run` (one job), `pipeline` (the engine).
"""
