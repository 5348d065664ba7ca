import { StageBar } from "./bar.js";
import * as client from "./client.js";
import { actionButton, element, setText } from "./element.js";
import { isUnfinished } from "./jobs.js";
import { StageOutput } from "./output.js";
import { ago, duration, moment, size } from "./words.js";

/** Everything about one job. One is made for each job that is chosen. */
export class JobDetail {
  #badge = element("span", { className: "badge" });
  #finished = element("dd");
  #error = element("p", { className: "error", hidden: true });
  #refusal = element("p", { className: "error", role: "alert", hidden: true });
  #stageList = element("ol", { className: "stage-list" });
  #outputs = element("div", { className: "outputs" });
  #stages = new Map();

  /** `changed()` is called, and waited for, after the job was cancelled or retried from here. */
  constructor(job, changed) {
    this.id = job.id;
    this.changed = changed;
    this.cancel = actionButton("Cancel", () => this.#change("cancel"));
    this.retry = actionButton("Retry", () => this.#change("retry"), "button primary");
    this.heading = element("h2", { tabIndex: -1 }, element("bdi", {}, job.document.name));
    this.element = element(
      "article",
      {},
      element(
        "header",
        { className: "detail-header" },
        this.heading,
        element("a", { className: "button close", href: "#" }, "Close"),
      ),
      element("div", { className: "actions" }, this.#badge, this.cancel, this.retry),
      this.#error,
      this.#refusal,
      element("section", { "aria-label": "Stages" }, element("h3", {}, "Stages"), this.#stageList),
      this.#outputs,
      element("section", { "aria-label": "Job" }, element("h3", {}, "Job"), this.#facts(job)),
    );
  }

  #facts(job) {
    const facts = {
      Id: element("code", {}, job.id),
      Pipeline: job.pipeline,
      Document: `${job.document.type}, ${size(job.document.size)}`,
      "SHA-256": element("code", {}, job.document.sha256),
      Priority: String(job.priority),
      Submitted: moment(job.created_at),
    };
    const list = element("dl", { className: "facts" });
    for (const [term, fact] of Object.entries(facts)) {
      list.append(element("dt", {}, term), element("dd", {}, fact));
    }
    list.append(element("dt", {}, "Finished"), this.#finished);
    return list;
  }

  update(job) {
    this.element.dataset.state = job.state;
    setText(this.#badge, job.state);
    setText(this.#finished, job.finished_at ? moment(job.finished_at) : "not yet");
    // A stage that failed says why itself; the job's own error is for what no stage can say.
    const told = job.stages.some((stage) => stage.state === "failed" && stage.error);
    this.#error.hidden = told || !job.error;
    setText(this.#error, job.error?.message ?? "");
    this.cancel.hidden = !isUnfinished(job);
    this.retry.hidden = job.state !== "failed";
    for (const stage of job.stages) this.#stage(stage.name).update(stage, isUnfinished(job));
  }

  #stage(name) {
    if (!this.#stages.has(name)) {
      const item = new StageItem(this.id, name);
      this.#stages.set(name, item);
      this.#stageList.append(item.element);
      // What comes last is what people look for first: the summary, then entities, then the text.
      this.#outputs.prepend(item.output.element);
    }
    return this.#stages.get(name);
  }

  async #change(verb) {
    this.#refusal.hidden = true;
    try {
      await client.change(this.id, verb);
    } catch (error) {
      if (!(error instanceof client.Problem)) throw error;
      this.#refusal.hidden = false;
      setText(this.#refusal, `Not done: ${error.message}`);
    }
    await this.changed();
  }
}

class StageItem {
  #attempts = element("p", { className: "quiet small" });
  #reason = element("span");
  #time = element("time");
  #error = element("p", { className: "error", hidden: true }, this.#reason, " ", this.#time);

  constructor(job, name) {
    this.bar = new StageBar(name);
    this.output = new StageOutput(job, name);
    this.element = element("li", {}, this.bar.element, this.#attempts, this.#error);
  }

  update(stage, unfinished) {
    this.bar.update(stage, unfinished);
    setText(this.#attempts, attempts(stage));
    this.#error.hidden = !stage.error || stage.state === "succeeded";
    if (stage.error) this.#tell(stage.error);
    this.output.update(stage);
  }

  #tell({ type, message, part, at }) {
    setText(this.#reason, `${part ? `${part}: ` : ""}${message} (${type})`);
    this.#time.hidden = !at;
    if (!at) return;
    this.#time.dateTime = at;
    this.#time.title = moment(at);
    setText(this.#time, ago(at));
  }
}

function attempts({ attempt, max_attempts: most, started_at: started, finished_at: finished }) {
  const said = [];
  if (attempt > 0) said.push(`attempt ${attempt} of ${most}`);
  if (started && finished) said.push(`took ${duration(started, finished)}`);
  return said.join(", ");
}
