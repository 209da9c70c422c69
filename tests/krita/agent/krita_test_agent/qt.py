"""PyQt5 up to Krita 5.x, PyQt6 from Krita 6 on."""

from __future__ import annotations

try:
    from PyQt5 import QtCore, QtGui, QtNetwork, QtTest, QtWidgets
except ImportError:  # Krita 6 refuses PyQt5
    from PyQt6 import QtCore, QtGui, QtNetwork, QtTest, QtWidgets

__all__ = ["QtCore", "QtGui", "QtNetwork", "QtTest", "QtWidgets"]
