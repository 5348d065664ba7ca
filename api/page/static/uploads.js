import { Problem, submit } from "./client.js";
import { element, setText } from "./element.js";
import { size } from "./words.js";

const AT_ONCE = 2;

/** The files on their way to the server. What has arrived leaves this list and is a job. */
export class Uploads {
  #waiting = [];
  #running = 0;

  /** `submitted(id)` is called with the id of every job that this makes. */
  constructor(list, submitted) {
    this.list = list;
    this.submitted = submitted;
  }

  /** Whether leaving the page now would lose files. */
  get busy() {
    return this.#running > 0;
  }

  add(files) {
    for (const file of files) {
      const upload = new Upload(file, (again) => this.#enqueue(again));
      this.list.append(upload.element);
      this.#enqueue(upload);
    }
  }

  #enqueue(upload) {
    this.#waiting.push(upload);
    this.#next();
  }

  async #next() {
    if (this.#running >= AT_ONCE || this.#waiting.length === 0) return;
    this.#running += 1;
    const id = await this.#waiting.shift().run();
    this.#running -= 1;
    this.#next();
    if (id !== null) this.submitted(id);
  }
}

class Upload {
  #progress = element("progress", { max: 1, value: 0 });
  #state = element("span", { className: "bar-text" }, "waiting");
  #error = element("p", { className: "error", role: "alert", hidden: true });
  #abort = new AbortController();
  #key = randomKey();

  constructor(file, again) {
    this.file = file;
    this.stop = button("Stop", file, () => this.#leave());
    this.retry = button("Try again", file, () => again(this));
    this.retry.hidden = true;
    this.element = element(
      "li",
      {},
      element(
        "label",
        { className: "bar" },
        element("span", { className: "bar-name" }, element("bdi", {}, file.name), ` ${size(file.size)}`),
        this.#progress,
        this.#state,
      ),
      this.retry,
      this.stop,
      this.#error,
    );
  }

  /** Send the file; return the job's id, or null when it was not accepted or not wanted any more. */
  async run() {
    if (this.#abort.signal.aborted) return null;
    this.retry.hidden = this.#error.hidden = true;
    try {
      const id = await submit(this.file, this.#key, {
        sent: (share) => this.#sent(share),
        signal: this.#abort.signal,
      });
      this.element.remove();
      return id;
    } catch (error) {
      if (error === this.#abort.signal.reason) return null;
      if (!(error instanceof Problem)) throw error;
      this.#failed(error);
      return null;
    }
  }

  #sent(share) {
    this.#progress.value = share;
    setText(this.#state, share < 1 ? `${Math.floor(share * 100)} %` : "being stored");
  }

  #failed(problem) {
    this.#sent(0);
    setText(this.#state, "not submitted");
    setText(this.stop, "Dismiss");
    this.retry.hidden = this.#error.hidden = false;
    setText(this.#error, problem.message);
  }

  #leave() {
    this.#abort.abort();
    this.element.remove();
  }
}

function randomKey() {
  // crypto.randomUUID is there on secure origins only, and a server at home may have none.
  const numbers = crypto.getRandomValues(new Uint32Array(4));
  return Array.from(numbers, (number) => number.toString(16).padStart(8, "0")).join("");
}

function button(label, file, action) {
  const made = element("button", { type: "button", className: "button", "aria-description": file.name }, label);
  made.addEventListener("click", action);
  return made;
}
