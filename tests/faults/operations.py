"""The engine's writes, and the reads that tell what a write did, as a proxy sees them."""

from tests.dropping_proxy import Command, Wanted


def update(target: str, member: str, *, many: bool = False, transaction: bool = False) -> Wanted:
    """Want updates of a collection that have this member in their filter or their change."""

    def wanted(command: Command) -> bool:
        statements = command.body.get("updates", [])
        return (
            (command.name, command.target) == ("update", target)
            and ("autocommit" in command.body) == transaction
            and any(each.get("multi", False) == many and member in str(each) for each in statements)
        )

    return wanted


def command(name: str, target: str = "", member: str = "") -> Wanted:
    """Want commands of this name, on this collection, that have this member somewhere."""
    return lambda asked: (asked.name, asked.target) == (name, target) and member in str(asked.body)


class CommitOf:
    """Want the commits of transactions that insert into a collection."""

    def __init__(self, collection: str) -> None:
        self._collection = collection
        self._transactions: set[tuple[str, int]] = set()

    def __call__(self, command: Command) -> bool:
        transaction = (str(command.body.get("lsid")), command.body.get("txnNumber", 0))
        if (command.name, command.target) == ("insert", self._collection):
            self._transactions.add(transaction)
        return command.name == "commitTransaction" and transaction in self._transactions


OPERATIONS: dict[str, Wanted] = {
    "intent": update("uploads", "started_at"),
    "chunk": command("insert", "documents.chunks"),
    "file": command("insert", "documents.files"),
    "intent settled": command("delete", "uploads"),
    "job": command("insert", "jobs"),
    "registration": command("findAndModify", "workers", "pid"),
    "sign of life": command("findAndModify", "workers", "listening"),
    "gap opened": update("listeners", "opened_at"),
    "gap closed": update("gaps", "closed_at"),
    "position": update("listeners", "$lt"),
    "claim": update("tasks", "claim_id", many=True),
    "claim read back": command("find", "tasks", "lease.claim_id"),
    "renewal": update("tasks", "lease.until"),
    "hand-off": update("tasks", "commit", transaction=True),
    "commit": command("commitTransaction"),
    "commit of a checkpoint": CommitOf("checkpoints"),
    "commit of an output": CommitOf("outputs"),
    "deregistration": command("delete", "workers"),
}
