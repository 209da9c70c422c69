"""Where in the layer tree a result belongs, and putting it there.

`Node.addChildNode` merges the whole canvas while the UI thread waits: 0.1 s at 2048 px, 0.4 s at 6000 px, 8 s at 20000 px
(Krita 5.1.5, two busy cores). Krita's own action for a new layer takes 1 ms at any size and merges in the background,
and counts as one undo step just the same; so on a large canvas the layer is made by that action.
"""

from __future__ import annotations

from typing import Any, Generator, List, Optional

from krita import Krita

from .document import CanvasDocument
from .redraw import LEAST_PIXELS
from .steady import SteadyLayer
from .words import is_layer_name

NEW_LAYER_ACTION = "add_new_paint_layer"
POLL_SECONDS = 0.01
PATIENCE = 300


def anchor(document: CanvasDocument, unique_id: str) -> Any:
    """The layer above which a result goes: the one called `unique_id`, or what its masks belong to.

    None when it is gone, or inside a group that is hidden. Above the layer means above the results that
    already lie on it: a new one must not be hidden by an old one.
    """
    node = document.find(unique_id)
    while node is not None and not _is_in_a_group(node):
        node = node.parentNode()
    if node is None or node.type().endswith("mask"):
        return None
    group = node.parentNode()
    while group.parentNode() is not None:
        if not group.visible():
            return None
        group = group.parentNode()
    return _highest_result_above(node)


def top_of(document: CanvasDocument) -> Any:
    """The topmost layer outside all groups; None in a document without layers."""
    layers = [node for node in document.root().childNodes() if not node.type().endswith("mask")]
    return layers[-1] if layers else None


def hang(
    document: CanvasDocument, node: Any, above: Any, is_plain: bool = True
) -> Generator[float, None, Any]:
    """Put the new layer `node` above the layer `above`; returns the layer that hangs there.

    On a large canvas that is one made by Krita, with the name, the lock and the eye of `node`, unless `node` is not
    plain, as one with a mask or frames is. The painter's active layer stays theirs.
    """
    steady = SteadyLayer(document)
    try:
        made = (yield from _made_by_krita(document, above)) if is_plain else None
        if made is not None:
            made.setName(node.name())
            made.setLocked(node.locked())
            made.setVisible(node.visible())
        else:
            parent = above.parentNode() if above is not None else document.root()
            parent.addChildNode(node, above)
        yield from steady.restored()
    finally:
        steady.stop()
    return made or node


def _made_by_krita(document: CanvasDocument, above: Any) -> Generator[float, None, Any]:
    """A new layer that Krita's own action has made above `above`; None where it does not pay or is not possible."""
    canvas = document.canvas()
    is_large = canvas.width * canvas.height >= LEAST_PIXELS
    # With a group as the active layer the action would make the new one inside it.
    if not is_large or above is None or above.type() == "grouplayer" or not document.is_srgb8():
        return None
    own = document.active_node() if document.is_active() else None
    if own is None:
        return None
    parent = above.parentNode()
    before = [child.uniqueId() for child in parent.childNodes()]
    document.activate(above)
    can_be_made = document.active_node().uniqueId() == above.uniqueId()
    if can_be_made:
        Krita.instance().action(NEW_LAYER_ACTION).trigger()
    # At once: a stroke could begin in the next turn of the event loop.
    document.activate(own)
    if not can_be_made:
        return None
    for _ in range(PATIENCE):
        yield POLL_SECONDS
        made = _newcomer(document, parent, before)
        if made is not None:
            return made
    return None


def _newcomer(document: CanvasDocument, parent: Any, before: List[Any]) -> Optional[Any]:
    if not document.is_open():
        return None
    new = [child for child in parent.childNodes() if child.uniqueId() not in before]
    return new[0] if len(new) == 1 and new[0].type() == "paintlayer" else None


def _is_in_a_group(node: Any) -> bool:
    parent = node.parentNode()
    return parent is not None and parent.type() == "grouplayer"


def _highest_result_above(node: Any) -> Any:
    siblings = node.parentNode().childNodes()
    ids = [sibling.uniqueId() for sibling in siblings]
    highest = node
    for sibling in siblings[ids.index(node.uniqueId()) + 1 :]:
        if sibling.type() != "paintlayer" or not is_layer_name(sibling.name()):
            break
        highest = sibling
    return highest
