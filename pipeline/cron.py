"""When a schedule is due: a cron expression in a time zone.

Five fields, or six with the seconds first. Where clocks are put forward or back, five fields do what Debian's
cron does: what names an hour that is skipped is due right after it, and nothing that names an hour twice.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from pipeline.errors import SubmissionError

SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Cron:
    """A valid expression in a zone; make it with `cron`."""

    expression: str
    zone: ZoneInfo

    def after(self, time: datetime) -> datetime | None:
        """Return the first tick after a time, in UTC; None when none comes within fifty years."""
        tick = next(CronSim(self.expression, time.astimezone(self.zone)), None)
        return None if tick is None else tick.astimezone(UTC)

    def until(self, time: datetime) -> datetime | None:
        """Return the last tick that is not after a time, in UTC."""
        next_second = time.replace(microsecond=0) + SECOND
        tick = next(CronSim(self.expression, next_second.astimezone(self.zone), reverse=True), None)
        return None if tick is None else tick.astimezone(UTC)


def cron(expression: str, zone: str) -> Cron:
    """Return an expression with its zone.

    Raises:
        SubmissionError: one of them can't be understood, or there is never a tick.
    """
    try:
        made = Cron(expression, ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SubmissionError(
            f"there is no time zone {zone!r}: give one such as Europe/Berlin, or UTC"
        ) from error
    try:
        found = made.after(datetime.now(UTC))
    except CronSimError as error:
        raise SubmissionError(
            f"the cron expression {expression!r} cannot be understood: {error}. "
            "Give minute, hour, day of month, month, day of week, such as `30 3 * * mon-fri`"
        ) from error
    if found is None:
        raise SubmissionError(f"the cron expression {expression!r} is never due")
    return made
