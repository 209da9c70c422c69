"""Benchmarks: each module has `run() -> dict`, prints what it measured and asserts no absolute time."""
