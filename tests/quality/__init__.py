"""`python -m tests.quality`: the table of docs/quality.md, measured."""
