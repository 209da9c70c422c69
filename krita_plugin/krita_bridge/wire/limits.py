"""The numbers both ends hold each other to. Exceeding one is an error with a sentence, never a crash."""

PROTOCOL = 1
"""Version of the messages; both ends must say the same."""

MAX_CANVAS_SIDE = 1_000_000
"""Largest side of a document, px. Only the crop round the selection is ever sent."""

MAX_SIDE = 32_768
"""Largest side of an image on the wire, px."""

MAX_PIXELS = 8192 * 8192
"""Most pixels of one image on the wire."""

MAX_LIVE_PIXELS = 2048 * 2048
"""Most pixels of an area that is painted live."""

MAX_HEADER_BYTES = 1 << 20
"""Largest safetensors header of a frame."""

MAX_TEXT_BYTES = 1 << 20
"""Largest text frame."""

MAX_REFERENCES = 4
MAX_REFERENCE_SIDE = 1024
"""Largest side of a reference image, px: image encoders look at 224 to 448."""

MAX_FRAME_BYTES = MAX_PIXELS * 5 + MAX_REFERENCES * MAX_REFERENCE_SIDE**2 * 4 + MAX_HEADER_BYTES + 8
"""Largest binary frame: four bytes of colour and one of mask a pixel, and the references."""

MAX_WAITING_BYTES = 1 << 30
"""Bytes of pixels of all the jobs that wait in the bridge; a single job is always taken."""

MAX_PROMPT_CHARACTERS = 10_000
MAX_NAME_CHARACTERS = 200
MAX_DOCUMENT_CHARACTERS = 4_096
MAX_STEPS = 150
MAX_GUIDANCE = 50.0
MAX_CLIP_SKIP = 12
MAX_SEED = 2**63 - 1
MAX_REVISION = 2**53
MAX_UPSCALE = 8.0
MIN_SCALE = 0.25
MAX_CONTROLS = 8

FRAGMENT_BYTES = 256 * 1024
"""Size of the pieces a plugin sends: masking one piece in pure Python holds the GIL for about 2.5 ms."""
