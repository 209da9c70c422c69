"""Which mode is shown and at what strength: suggested by selection and canvas, or chosen by hand."""

from __future__ import annotations

from typing import Dict, Optional

from .wire.modes import MEANINGS, Mode, Situation, choose_mode, default_strength


class ModeChoice:
    """Each situation remembers where the painter put the strength; a mode chosen by hand lasts until it changes."""

    def __init__(self) -> None:
        self._situation = Situation.BLANK
        self._strengths: Dict[Situation, float] = {}
        self._by_hand: Optional[Mode] = None
        self._strength_by_hand = 1.0

    @property
    def by_hand(self) -> Optional[Mode]:
        """The painter's own choice; None while the mode is a suggestion."""
        return self._by_hand

    @property
    def has_selection(self) -> bool:
        """Whether something is selected that a mode could replace."""
        return self._situation in (Situation.INSIDE, Situation.BEYOND)

    def mode(self) -> Mode:
        return self._by_hand or self.suggested()

    def suggested(self) -> Mode:
        return choose_mode(self._situation, self._suggested_strength())

    def strength(self) -> float:
        """Above 0, up to 1."""
        return self._strength_by_hand if self._by_hand else self._suggested_strength()

    def strength_to_keep(self) -> float:
        """What `load` shall get the next time: what belongs to this selection alone is left out."""
        if self._by_hand is None and self._situation in (Situation.BLANK, Situation.BEYOND):
            return self._strengths.get(Situation.INSIDE, default_strength(Situation.INSIDE))
        return self.strength()

    def see(self, situation: Situation) -> None:
        """Selection and canvas look like this now."""
        if situation is not self._situation:
            self._situation = situation
            self._by_hand = None

    def take(self, mode: Optional[Mode]) -> None:
        """The painter chooses a mode, at its default strength; None: as suggested."""
        self._by_hand = mode
        if mode is not None:
            self._strength_by_hand = MEANINGS[mode].strength

    def set_strength(self, strength: float) -> None:
        if self._by_hand:
            self._strength_by_hand = strength
        else:
            self._strengths[self._situation] = strength

    def load(self, mode: Optional[Mode], strength: float) -> None:
        """What was asked for before, as far as it fits what is there now."""
        self._strengths = {}
        self._by_hand = mode
        self._strength_by_hand = strength
        # A fill at 100 % says nothing about how much of an unselected canvas to keep.
        refines = self._situation is Situation.WHOLE and strength < 1.0
        if mode is None and (refines or self._situation is Situation.INSIDE):
            self._strengths[self._situation] = strength

    def _suggested_strength(self) -> float:
        return self._strengths.get(self._situation, default_strength(self._situation))
