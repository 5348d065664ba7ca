import { StageBar } from "./bar.js";
import { element, setText } from "./element.js";
import { isUnfinished } from "./jobs.js";
import { ago, moment, size } from "./words.js";

/** The table of the newest jobs. Rows are kept and moved, never rebuilt: focus and selection stay. */
export class JobTable {
  #rows = new Map();

  constructor(body) {
    this.body = body;
  }

  /** Show these jobs in this order; `chosen` is the id of the one in the detail area, or null. */
  update(jobs, chosen) {
    const shown = new Set(jobs.map((job) => job.id));
    for (const [id, row] of this.#rows) {
      if (shown.has(id)) continue;
      row.element.remove();
      this.#rows.delete(id);
    }
    jobs.forEach((job, index) => {
      const row = this.#row(job);
      row.update(job, job.id === chosen);
      const there = this.body.children[index];
      if (there !== row.element) this.body.insertBefore(row.element, there ?? null);
    });
  }

  /** Move the focus to a job's link, where the job is listed. */
  focus(id) {
    this.#rows.get(id)?.link.focus();
  }

  #row(job) {
    if (!this.#rows.has(job.id)) this.#rows.set(job.id, new JobRow(job));
    return this.#rows.get(job.id);
  }
}

class JobRow {
  #state = element("span", { className: "badge" });
  #time = element("time");
  #bars = new Map();
  #barList = element("div", { className: "bars" });

  constructor({ id, document: { name, size: bytes }, pipeline, created_at: created }) {
    this.link = element("a", { href: `#job=${encodeURIComponent(id)}`, title: name }, element("bdi", {}, name));
    this.#time.dateTime = created;
    this.#time.title = moment(created);
    this.element = element(
      "tr",
      { "data-job": id },
      element("th", { scope: "row" }, this.link, element("span", { className: "quiet small" }, size(bytes))),
      element("td", { className: "pipeline" }, pipeline),
      element("td", { className: "state" }, this.#state),
      element("td", { className: "stages" }, this.#barList),
      element("td", { className: "submitted" }, this.#time),
    );
    // The link is for the keyboard and for screen readers; a mouse may hit the row anywhere.
    this.element.addEventListener("click", (event) => {
      if (!event.target.closest("a") && getSelection().isCollapsed) this.link.click();
    });
  }

  update(job, chosen) {
    this.element.dataset.state = job.state;
    if (chosen) this.link.setAttribute("aria-current", "true");
    else this.link.removeAttribute("aria-current");
    setText(this.#state, job.state);
    setText(this.#time, ago(job.created_at));
    for (const stage of job.stages) this.#bar(stage.name).update(stage, isUnfinished(job));
  }

  #bar(name) {
    if (!this.#bars.has(name)) {
      const bar = new StageBar(name);
      this.#bars.set(name, bar);
      this.#barList.append(bar.element);
    }
    return this.#bars.get(name);
  }
}
