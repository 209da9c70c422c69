"""The Krita side of krita-bridge, as an importable package so that the bridge can share its `wire`."""
