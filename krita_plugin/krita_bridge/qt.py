"""PyQt5 up to Krita 5, PyQt6 from Krita 6 on: the only module that knows the one from the other.

Everybody else imports Qt's modules from here and writes enums with their scope (`Qt.AlignmentFlag.AlignLeft`),
which both understand.
"""

from __future__ import annotations

import sys

import krita  # noqa: F401  loads the PyQt that this Krita is built with

IS_QT6 = "PyQt6.QtCore" in sys.modules

if IS_QT6:
    from PyQt6 import QtCore, QtGui, QtWidgets, sip
    from PyQt6.QtCore import pyqtSignal
    from PyQt6.QtGui import QAction
else:
    from PyQt5 import QtCore, QtGui, QtWidgets, sip
    from PyQt5.QtCore import pyqtSignal
    from PyQt5.QtWidgets import QAction

Qt = QtCore.Qt

__all__ = ["IS_QT6", "QAction", "Qt", "QtCore", "QtGui", "QtWidgets", "pyqtSignal", "sip"]
