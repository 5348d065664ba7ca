"""The benchmarks of what operators do run, and give what they promise: counts and names, no times."""

from dataclasses import dataclass

from benchmarks import fairness, held_back, pauses, releases
from benchmarks.ground import Form


@dataclass(frozen=True, slots=True)
class Tiny(Form):
    """Nothing is larger than `most`, and every kind is measured."""

    most: int = 40

    def size(self, whole: int, short: int) -> int:
        return min(whole, short, self.most)


async def test_held_back() -> None:
    figures = await held_back.measure(Tiny(most=20))
    names = {each.name for each in figures}
    assert {each for each in names if not each.endswith(".meanwhile")} == {
        f"held_back.{each.name}" for each in held_back.HOLDS
    }
    aside = {f"held_back.{each.name}.meanwhile" for each in held_back.HOLDS if not each.stops_stage}
    assert {each for each in names if each.endswith(".meanwhile")} == aside
    assert all(each.value > 0 for each in figures)
    assert all(each.reference for each in figures if each.name not in aside)


async def test_fairness() -> None:
    figures = await fairness.measure(Tiny(most=2_500))
    assert [each.name for each in figures] == ["fairness.p95", "fairness.p95_alone"]
    assert figures[0].note.startswith("30 documents of a small tenant beside 2,500 of a large one")
    assert all(each.value > 0 for each in figures)


async def test_pauses() -> None:
    figures = await pauses.measure(Tiny(most=5_000))
    assert [each.name for each in figures] == ["pauses.last_begin", "pauses.first_begin"]
    assert all("the slowest of 3," in each.note for each in figures)
    assert all(each.bound == "at most" and each.target == 1000 * pauses.LONGEST for each in figures)


async def test_releases() -> None:
    [figure] = await releases.measure(Tiny())
    assert figure.name == "releases.side_by_side"
    assert figure.note.startswith("40 jobs, half of each release")
    assert figure.reference
    assert figure.value > 0
