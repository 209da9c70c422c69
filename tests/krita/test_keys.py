"""The plugin's keys: Qt lets a key that two actions have trigger neither."""

from __future__ import annotations

from tests.krita.conftest import Studio

_KEYS = """\
{action.objectName(): [key.toString() for key in action.shortcuts()] for action in Krita.instance().actions()}
"""


def test_no_other_action_has_a_key_of_ours(studio: Studio) -> None:
    keys: dict[str, list[str]] = studio.krita.evaluate(_KEYS)
    ours = {
        key: name
        for name, its_keys in keys.items()
        for key in its_keys
        if name.startswith("krita_bridge_")
    }
    assert len(ours) >= 10
    taken = {
        key: (name, ours[key])
        for name, its_keys in keys.items()
        for key in its_keys
        if ours.get(key, name) != name
    }
    assert not taken
