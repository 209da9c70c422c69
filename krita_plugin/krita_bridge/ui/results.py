"""The latest results as thumbnails."""

from __future__ import annotations

from html import escape
from typing import Any, Dict, Optional

from ..history import Entry, History
from ..painting import PreviewPicture
from ..qt import Qt, QtCore, QtGui, QtWidgets, pyqtSignal
from ..text import tr
from ..wire.frames import Buffer
from ..wire.geometry import Bounds
from ..words import result_tip
from .icons import thumbnail

SIDE = 64
MOST_ROWS = 3
_JOB = Qt.ItemDataRole.UserRole
_PLACED = Qt.ItemDataRole.UserRole + 1


class _Thumbnail(QtWidgets.QStyledItemDelegate):  # type: ignore[misc]
    """The picture, a frame round the one that is shown, a dot on one that is in no document yet."""

    def paint(self, painter: Any, option: Any, index: Any) -> None:
        painter.save()
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        area = option.rect.adjusted(3, 3, -3, -3)
        index.data(Qt.ItemDataRole.DecorationRole).paint(painter, area)
        highlight = option.palette.color(QtGui.QPalette.ColorRole.Highlight)
        state = QtWidgets.QStyle.StateFlag
        if option.state & (state.State_Selected | state.State_HasFocus):
            painter.setPen(QtGui.QPen(highlight, 2))
            painter.drawRect(option.rect.adjusted(1, 1, -2, -2))
        if not index.data(_PLACED):
            painter.setPen(QtGui.QPen(option.palette.color(QtGui.QPalette.ColorRole.Base), 1.5))
            painter.setBrush(highlight)
            painter.drawEllipse(QtCore.QPointF(area.right() - 6, area.top() + 6), 5, 5)
        painter.restore()

    def sizeHint(self, option: Any, index: Any) -> Any:
        return QtCore.QSize(SIDE + 6, SIDE + 6)


class ResultsView(QtWidgets.QListWidget):  # type: ignore[misc]
    """Newest first, before them the picture in the making: so nothing moves when it is done. A click or Enter shows
    a result on the canvas, Delete discards it, the menu does the rest."""

    wanted = pyqtSignal(str)
    reused = pyqtSignal(str)
    seed_wanted = pyqtSignal(str)
    discarded = pyqtSignal(str)
    save_wanted = pyqtSignal(str)

    def __init__(self) -> None:
        super().__init__()
        self._items: Dict[str, Any] = {}
        self._preview: Optional[PreviewPicture] = None
        self._in_the_making: Any = None
        self.setObjectName("results")
        self.setAccessibleName(tr("Results"))
        self.setViewMode(QtWidgets.QListView.ViewMode.IconMode)
        self.setMovement(QtWidgets.QListView.Movement.Static)
        self.setResizeMode(QtWidgets.QListView.ResizeMode.Adjust)
        self.setIconSize(QtCore.QSize(SIDE, SIDE))
        self.setGridSize(QtCore.QSize(SIDE + 6, SIDE + 6))
        self.setUniformItemSizes(True)
        self.setItemDelegate(_Thumbnail(self))
        self.setMouseTracking(True)
        self.setFrameShape(QtWidgets.QFrame.Shape.NoFrame)
        self.viewport().setAutoFillBackground(False)
        self.setFixedHeight(SIDE + 10)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.itemClicked.connect(self._on_clicked)
        self.customContextMenuRequested.connect(self._open_menu)

    def show_history(
        self, history: History, current: str, preview: Optional[PreviewPicture]
    ) -> None:
        """Bring the thumbnails in line with the history, and with the picture that is being painted."""
        self._show_preview(preview)
        entries = history.entries()
        gone = set(self._items) - {entry.job for entry in entries}
        for job in gone:
            self.takeItem(self.row(self._items.pop(job)))
        for entry in entries:
            if entry.job not in self._items:
                self._add(entry)
            self._describe(entry, history.is_placed(entry.job))
        item = self._items.get(current)
        if item is not None and self.currentItem() is not item:
            self.setCurrentItem(item)
        columns = max(1, self.viewport().width() // (SIDE + 6))
        rows = min(MOST_ROWS, -(-self.count() // columns))
        self.setFixedHeight(max(1, rows) * (SIDE + 6) + 6)
        self.setVisible(self.count() > 0)

    def keyPressEvent(self, event: Any) -> None:
        job = self._current_job()
        if job and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.wanted.emit(job)
        elif job and event.key() == Qt.Key.Key_Delete:
            self.discarded.emit(job)
        else:
            super().keyPressEvent(event)

    def mousePressEvent(self, event: Any) -> None:
        # The menu is about the thumbnail under the pointer; the frame stays round the one that is shown.
        if event.button() != Qt.MouseButton.RightButton:
            super().mousePressEvent(event)

    def _add(self, entry: Entry) -> None:
        item = QtWidgets.QListWidgetItem(self._icon(entry.image, entry.bounds), "")
        item.setData(_JOB, entry.job)
        self.insertItem(0 if self._in_the_making is None else 1, item)
        self._items[entry.job] = item

    def _show_preview(self, preview: Optional[PreviewPicture]) -> None:
        if preview is None and self._in_the_making is not None:
            self.takeItem(self.row(self._in_the_making))
            self._in_the_making = None
        elif preview is not None and self._in_the_making is None:
            self._in_the_making = QtWidgets.QListWidgetItem()
            self._in_the_making.setFlags(Qt.ItemFlag.NoItemFlags)
            self._in_the_making.setData(_PLACED, True)
            self.insertItem(0, self._in_the_making)
        if preview is not None and preview is not self._preview:
            self._in_the_making.setIcon(self._icon(preview.image, preview.bounds))
        self._preview = preview

    def _icon(self, image: Buffer, bounds: Bounds) -> Any:
        scale = self.devicePixelRatioF()
        picture = thumbnail(image, bounds, int(SIDE * scale), self.palette())
        picture.setDevicePixelRatio(scale)
        return QtGui.QIcon(picture)

    def _describe(self, entry: Entry, is_placed: bool) -> None:
        note = "" if is_placed else tr("Not on the canvas yet: click to place it")
        tip = "<br>".join(escape(line) for line in result_tip(entry.facts, note).split("\n"))
        item = self._items[entry.job]
        if item.toolTip() != tip:
            item.setData(_PLACED, is_placed)
            item.setToolTip(tip)
            item.setData(Qt.ItemDataRole.AccessibleTextRole, result_tip(entry.facts, note))

    def _current_job(self) -> Optional[str]:
        item = self.currentItem()
        return item.data(_JOB) if item is not None else None

    def _on_clicked(self, item: Any) -> None:
        if item is not self._in_the_making:
            self.wanted.emit(item.data(_JOB))

    def _open_menu(self, position: Any) -> None:
        item = self.itemAt(position)
        if item is None or item is self._in_the_making:
            return
        job = item.data(_JOB)
        menu = QtWidgets.QMenu(self)
        for text, signal in (
            (tr("Show on the Canvas"), self.wanted),
            (tr("Use These Settings"), self.reused),
            (tr("Copy Seed"), self.seed_wanted),
            (tr("Save as PNG..."), self.save_wanted),
            (tr("Discard"), self.discarded),
        ):
            menu.addAction(text).triggered.connect(lambda _=False, s=signal: s.emit(job))
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.viewport().mapToGlobal(position))
