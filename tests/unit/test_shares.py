"""Fair shares: the order in which tenants are served, whatever each has waiting."""

from collections import Counter

from pipeline.shares import Shares


def tenant(each: str) -> str:
    return each[0]


def served(shares: Shares, waiting: list[str], rounds: int) -> list[str]:
    """Who is served when one slot frees at a time."""
    order = []
    for _ in range(rounds):
        first = shares.order(waiting, tenant)[0]
        shares.begin([tenant(first)])
        waiting = [each for each in waiting if each != first]
        order.append(first)
    return order


def test_one_alone_keeps_its_order() -> None:
    assert Shares().order(["a3", "a1", "a2"], tenant) == ["a3", "a1", "a2"]


def test_all_are_served_in_turn_each_in_its_own_order() -> None:
    assert Shares().order(["a1", "a2", "a3", "a4", "b1", "b2", "c1"], tenant) == [
        "a1", "b1", "c1", "a2", "b2", "a3", "a4",
    ]  # fmt: skip


def test_who_has_waited_behind_many_goes_next_and_gets_no_more_than_its_share() -> None:
    shares = Shares()
    many = [f"a{number}" for number in range(100)]
    assert served(shares, many, 50) == many[:50]
    order = served(shares, [*many[50:], *[f"b{number}" for number in range(10)]], 20)
    assert "b0" in order[:2]
    assert Counter(map(tenant, order)) == {"a": 10, "b": 10}


def test_a_tenant_is_owed_while_it_has_had_less() -> None:
    shares = Shares()
    assert not shares.owed("a", ["a", "b"])
    shares.begin(["a", "a"])
    assert shares.owed("a", ["a", "b"])
    assert not shares.owed("b", ["a", "b"])
    assert not shares.owed("a", ["a"])
    assert shares.least(["a", "b"], 1) == ["b"]
