"""Live painting on the bridge's side: a copy of what the painter sees, and which picture of it is made next.

Imports no torch. Reading order: `mirror` (the copy), `economy` (how much work a picture may be), `desk` (newest wins).
"""
