"""Live painting: the picture follows the brush.

Reading order: `watch` (what has changed on the canvas), `follow` (what is sent when), `painter` (inside Krita).
"""
