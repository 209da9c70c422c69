"""The serve process: who may connect, what they may ask, what is kept for them. Imports no torch.

Reading order: `app` (start and stop), `gate` (the handshake), `session` (one connection), `dispatcher` (all jobs;
`record`: one of them), `outbox`, `store`.
"""
