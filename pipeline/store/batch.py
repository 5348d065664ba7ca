"""One transaction's writes, gathered from its changes by what they have in common.

Most changes of a batch are alike: the ends of tasks that were claimed together differ in their ids alone.
Such updates are one statement over many ids, which costs the server half of as many statements.
"""

import secrets
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import bson
from pymongo import UpdateMany, UpdateOne

from pipeline.model import QUIET, Change, Update, Write


def alike(writes: Iterable[Write]) -> list[list[Write]]:
    """Put writes together that differ in the id of their document alone, none of them twice."""
    groups: dict[tuple[str, int, Hashable], list[Write]] = defaultdict(list)
    times: dict[tuple[str, Hashable, str], int] = defaultdict(int)
    encoded: dict[int, bytes] = {}
    kept: list[Update] = []  # as long as its id stands for it
    for write in writes:
        update = encoded.get(id(write.update))
        if update is None:
            kept.append(write.update)
            update = encoded[id(write.update)] = bson.encode({"update": write.update})
        kind = _condition(write.filter), update
        same = write.collection, kind, write.filter["_id"]
        groups[write.collection, times[same], kind].append(write)
        times[same] += 1
    return list(groups.values())


def _condition(query: Mapping[str, Any]) -> Hashable:
    """Return what a filter asks for besides the id, as a key."""
    common = tuple([item for item in query.items() if item[0] != "_id"])
    try:
        hash(common)
    except TypeError:  # it asks for more than values
        return bson.encode(dict(common))
    return common


def matching(writes: Sequence[Write]) -> dict[str, Any]:
    """Return the filter of writes that are alike."""
    if len(writes) == 1:
        return dict(writes[0].filter)
    return {**writes[0].filter, "_id": {"$in": [write.filter["_id"] for write in writes]}}


def stamped(update: Update, stamp: str) -> Update:
    """Return an update that leaves a stamp as well."""
    if isinstance(update, list):
        return [*update, {"$set": {"commit": stamp}}]
    return {**update, "$set": {**update["$set"], "commit": stamp}}


class Updates:
    """Updates of one collection, each of a document that must match."""

    def __init__(self) -> None:
        self.count = 0
        """Documents that must match."""
        self.operations: list[UpdateOne | UpdateMany] = []

    def add(self, writes: Sequence[Write], stamp: str) -> None:
        """Add updates that are alike, as one statement."""
        operation = UpdateOne if len(writes) == 1 else UpdateMany
        self.operations.append(operation(matching(writes), stamped(writes[0].update, stamp)))
        self.count += len(writes)


class Batch:
    """What changes write, by step and collection.

    Every change is recognised later by its own stamp: on what it creates, or on what it guards when it
    creates nothing. Everything else gets the batch's stamp, which tells readers that it was written to.
    """

    def __init__(self, changes: Sequence[Change]) -> None:
        stamp = secrets.token_hex(12)
        self.guards: dict[str, Updates] = defaultdict(Updates)
        self.follow_ups: dict[str, Updates] = defaultdict(Updates)
        self.creates: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.ready: list[dict[str, Any]] = []
        """Tasks to be created without times: the server's are still to come."""
        for change in changes:
            if not change.creates:
                self.guards[change.guard.collection].add([change.guard], change.id)
            for collection, document in change.creates:
                without_times = collection == "tasks" and "created_at" not in document
                created = self.ready if without_times else self.creates[collection]
                created.append({**document, "commit": change.id})
        for quiet in (False, True):
            guards = (each.guard for each in changes if each.creates and each.quiet is quiet)
            for writes in alike(guards):
                self.guards[writes[0].collection].add(writes, QUIET + stamp if quiet else stamp)
        for writes in alike(write for change in changes for write in change.then):
            self.follow_ups[writes[0].collection].add(writes, stamp)
