"""How a log grew, as it was seen from outside."""

from __future__ import annotations

from bisect import bisect_right


class Growth:
    """One log: each end that was seen, the first answer that told it and the last question that it was the answer to."""

    def __init__(self) -> None:
        self.ends: list[int] = []
        self.told: list[float] = []
        self.asked: list[float] = []

    def take(self, end: int, asked: float, told: float) -> None:
        """One answer."""
        if self.ends and self.ends[-1] == end:
            self.asked[-1] = asked
            return
        self.ends.append(end)
        self.told.append(told)
        self.asked.append(asked)

    def around(self, offset: int) -> tuple[float, float]:
        """After when, and by when, the record at this offset was appended."""
        place = bisect_right(self.ends, offset)
        after = self.asked[place - 1] if place else 0.0
        return after, self.told[place] if place < len(self.told) else float("inf")
