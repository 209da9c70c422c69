"""How many times as large, how much the model may change on the way, and the button that does it."""

from __future__ import annotations

from ..document import CanvasDocument
from ..qt import Qt, QtWidgets, pyqtSignal
from ..settings import Enlargement
from ..text import tr
from ..wire.geometry import Bounds, Extent
from ..wire.limits import MAX_UPSCALE

LEAST_FACTOR = 1.1
_FACTOR_STEP = 0.5
_PERCENT_STEP = 5


class UpscalePanel(QtWidgets.QWidget):  # type: ignore[misc]
    """What becomes larger is what Generate would paint: the selection, or the whole canvas."""

    wanted = pyqtSignal()

    def __init__(self, enlargement: Enlargement) -> None:
        super().__init__()
        self._factor = QtWidgets.QDoubleSpinBox()
        self._factor.setObjectName("upscale_factor")
        self._factor.setRange(LEAST_FACTOR, MAX_UPSCALE)
        self._factor.setSingleStep(_FACTOR_STEP)
        self._factor.setDecimals(1)
        self._factor.setSuffix(tr(" times"))
        self._factor.setValue(enlargement.factor)
        self._strength = QtWidgets.QSpinBox()
        self._strength.setObjectName("upscale_strength")
        self._strength.setRange(0, 100)
        self._strength.setSingleStep(_PERCENT_STEP)
        self._strength.setSuffix(tr(" %"))
        self._strength.setValue(round(100 * enlargement.strength))
        self._strength.setToolTip(
            tr("How much the model may change; at 0 % the picture is enlarged alone")
        )
        self._size = QtWidgets.QLabel()
        self._size.setObjectName("upscale_size")
        self._size.setAlignment(Qt.AlignmentFlag.AlignCenter)
        button = QtWidgets.QPushButton(tr("Upscale"))
        button.setObjectName("upscale")
        button.setToolTip(tr("Open the selection, or the whole canvas, as a larger document"))
        grid = QtWidgets.QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        for column, (name, field) in enumerate(
            ((tr("Size"), self._factor), (tr("Strength"), self._strength))
        ):
            field.setAccessibleName(name)
            grid.addWidget(QtWidgets.QLabel(name), 0, 2 * column)
            grid.addWidget(field, 0, 2 * column + 1)
        grid.addWidget(button, 1, 0, 1, 4)
        grid.addWidget(self._size, 2, 0, 1, 4)
        self._area = Extent(0, 0)
        self._factor.valueChanged.connect(lambda _: self._show_size())
        button.clicked.connect(lambda _=False: self.wanted.emit())

    def enlargement(self) -> Enlargement:
        """What is set."""
        return Enlargement(round(self._factor.value(), 1), self._strength.value() / 100)

    def show_document(self, document: CanvasDocument) -> None:
        """How large the larger document would be, while that is in sight."""
        if self.isVisible():
            canvas = Bounds.of_canvas(document.canvas())
            selection = document.selection_bounds() or canvas
            self._area = selection.intersection(canvas).extent
            self._show_size()

    def _show_size(self) -> None:
        larger = self._area.scaled(self.enlargement().factor)
        text = tr("becomes {0} x {1} px", larger.width, larger.height)
        self._size.setText(text if self._area.width and self._area.height else "")
