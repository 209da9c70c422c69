"""What waits in an outbox."""

from __future__ import annotations

from bridge.server.outbox import Outbox
from krita_plugin.krita_bridge.wire import messages
from krita_plugin.krita_bridge.wire.messages import Unknown

_LAST = Unknown("the-last-one")


async def everything(outbox: Outbox) -> list[object]:
    """Take out all that waits, in order, messages decoded."""
    outbox.put(_LAST)
    items: list[object] = []
    while True:
        item = await outbox.next()
        items.append(messages.loads(item) if isinstance(item, str) else item)
        if items[-1] == _LAST:
            return items[:-1]
