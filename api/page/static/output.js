import * as client from "./client.js";
import { actionButton, element } from "./element.js";
import { entityView, jsonView, summaryView, textView } from "./views.js";

/** What one stage gave, from the moment that it has succeeded. Shown by what it holds, whatever the stage is called. */
export class StageOutput {
  #shown = null;

  constructor(job, stage) {
    this.job = job;
    this.stage = stage;
    this.element = element("section", { hidden: true, "data-output": stage });
  }

  /** Fetch the output once for each time that the stage succeeded. */
  update({ state, finished_at: finished }) {
    const wanted = state === "succeeded" ? `${finished}` : null;
    if (wanted === this.#shown) return;
    this.#shown = wanted;
    this.element.hidden = wanted === null;
    if (wanted !== null) this.#load(wanted);
  }

  async #load(wanted) {
    let content;
    try {
      content = view(await client.output(this.job, this.stage));
    } catch (error) {
      if (!(error instanceof client.Problem)) throw error;
      content = [
        element("h3", {}, this.stage),
        element("p", { className: "error" }, `The output cannot be shown: ${error.message}`),
        actionButton("Try again", () => this.#load(wanted)),
      ];
    }
    // Meanwhile the job may have been retried, and another output be wanted.
    if (wanted === this.#shown) this.element.replaceChildren(...content, this.#source());
  }

  #source() {
    const href = client.outputAddress(this.job, this.stage);
    const link = element("a", { href, target: "_blank", rel: "noopener" }, `${this.stage} output as JSON`);
    return element("p", { className: "small" }, link);
  }
}

function view(body) {
  if (Array.isArray(body.pages)) return textView(body);
  if (Array.isArray(body.entities)) return entityView(body);
  if (typeof body.summary === "string") return summaryView(body);
  return jsonView(body);
}
