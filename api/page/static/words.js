/** How times, amounts and states read. */

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const absolute = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const amounts = new Intl.NumberFormat("en");
const sizes = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Say how long ago an ISO time was: "now", "3 min. ago". */
export function ago(iso) {
  // Clocks differ by a little; nothing is shown as submitted in the future.
  const seconds = Math.max(0, (Date.now() - Date.parse(iso)) / 1000);
  if (seconds < 10) return "just now";
  if (seconds < MINUTE) return relative.format(-Math.floor(seconds), "second");
  if (seconds < HOUR) return relative.format(-Math.floor(seconds / MINUTE), "minute");
  if (seconds < DAY) return relative.format(-Math.floor(seconds / HOUR), "hour");
  return relative.format(-Math.floor(seconds / DAY), "day");
}

/** Say an ISO time in the reader's own time zone. */
export function moment(iso) {
  return absolute.format(new Date(iso));
}

/** Say the time between two ISO times: "0.4 s", "12 s", "3 min 20 s". */
export function duration(from, to) {
  const seconds = Math.max(0, (Date.parse(to) - Date.parse(from)) / 1000);
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < MINUTE) return `${Math.round(seconds)} s`;
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min ${Math.floor(seconds % MINUTE)} s`;
  return `${Math.floor(seconds / HOUR)} h ${Math.floor((seconds % HOUR) / MINUTE)} min`;
}

/** Say a number of bytes: "12.3 kB". */
export function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return `${sizes.format(bytes / 1000 ** power)} ${units[power]}`;
}

/** Say an amount of something: "1 page", "1,204 entities". */
export function count(amount, one, many = `${one}s`) {
  return `${amounts.format(amount)} ${amount === 1 ? one : many}`;
}

/** Say a stage's progress: "3 of 12 pages", or "3 pages" while the total is not known; and its note. */
export function progress({ done, total, unit, note }) {
  const counted = total === null ? count(done, unit) : `${amounts.format(done)} of ${count(total, unit)}`;
  return note ? `${counted}, ${note}` : counted;
}

/** Say where a stage is; `unfinished` is whether its job still goes on. */
export function stageState(stage, unfinished) {
  switch (stage.state) {
    case "waiting":
      return unfinished ? "waiting" : "not reached";
    case "ready":
      return stage.error ? "to be retried" : "queued";
    case "running":
      return stage.progress ? progress(stage.progress) : "running";
    case "succeeded":
      return "done";
    default:
      return stage.state;
  }
}
