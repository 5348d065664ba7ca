"""How well the built-in stages read documents, measured against what these say.

`make quality` runs every part, `python -m quality NAME` one. A part is a module with
`async def measure() -> AsyncIterator[Score]`, listed in `registry`. It exits with 1 when a floor is missed.
"""
