"""What travels between Krita and the bridge, shared by both ends.

Standard library only, Python 3.8 syntax: the plugin runs in Krita's own Python, so the strictest
consumer owns this code and the bridge imports it from here. Reading order: `geometry`, `limits`,
`messages`, `frames`, `proof`, `runfile`.
"""
