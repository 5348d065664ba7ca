"""How far a listener's position may be saved: to just before the oldest event without its effect."""


class Watermark:
    """Events whose effect is still to come, in order, each with the position right before it."""

    def __init__(self) -> None:
        self._before: dict[str, str] = {}
        self._last = ""

    def saw(self, token: str) -> None:
        """Note the position after an event that needs no effect, or whose effect was noted."""
        self._last = token

    def expect(self, key: str) -> None:
        """Note an event that has just been read and whose effect is to come; before `saw` of it."""
        if key not in self._before:
            self._before[key] = self._last

    def settle(self, key: str) -> None:
        """The effect is in the database, whoever brought it about."""
        self._before.pop(key, None)

    def safe(self) -> str:
        """Return the position that may be saved, empty when there is none yet."""
        oldest = next(iter(self._before.values()), None)
        return self._last if oldest is None else oldest
