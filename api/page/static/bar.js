import { element, setText } from "./element.js";
import { stageState } from "./words.js";

/** The progress bar of one stage, with the stage's name and what there is to say of it. */
export class StageBar {
  #progress = element("progress", { max: 1, value: 0 });
  #text = element("span", { className: "bar-text" });

  constructor(name) {
    this.element = element(
      "label",
      { className: "bar", "data-stage": name },
      element("span", { className: "bar-name" }, name),
      this.#progress,
      this.#text,
    );
  }

  update(stage, unfinished) {
    this.element.dataset.state = stage.state;
    setText(this.#text, stageState(stage, unfinished));
    const share = shareDone(stage);
    if (share === null) this.#progress.removeAttribute("value");
    else this.#progress.value = share;
  }
}

/** Return how much is done, from 0 to 1; null for a stage that runs and cannot tell. */
function shareDone({ state, progress }) {
  if (state === "succeeded") return 1;
  if (progress?.total) return Math.min(1, progress.done / progress.total);
  return state === "running" ? null : 0;
}
