/** How many jobs are listed. */
export const LIMIT = 50;

const NOT_REACHED = {
  state: "waiting",
  attempt: 0,
  max_attempts: null,
  progress: null,
  started_at: null,
  finished_at: null,
  error: null,
};

const UNKNOWN_PROGRESS = { done: 0, total: null, unit: "part", note: null };

const UNFINISHED = new Set(["submitted", "running"]);

/** Tell whether a job still goes on. */
export function isUnfinished(job) {
  return UNFINISHED.has(job.state);
}

/**
 * The jobs that the page knows, kept up to date by events. It dispatches "change" after any change,
 * and "state" (detail: the job) when a known job's own state has become another.
 */
export class Jobs extends EventTarget {
  #jobs = new Map();
  #loads = new Set();
  #kept = null;

  get(id) {
    return this.#jobs.get(id);
  }

  /** Return the newest jobs, newest first. */
  newest() {
    const time = (job) => Date.parse(job.created_at);
    return [...this.#jobs.values()].sort((one, other) => time(other) - time(one)).slice(0, LIMIT);
  }

  /** Keep this job, null for none, even when it is no longer among the newest. */
  keep(id) {
    this.#kept = id;
  }

  /** Take in an event of the stream; one about a job that is not known here is left out. */
  receive(type, data) {
    for (const missed of this.#loads) missed.push([type, data]);
    this.#apply(type, data);
    this.dispatchEvent(new Event("change"));
  }

  /**
   * Take in what `request()` gives, an array of jobs. It may be older than events that came while it
   * was on its way, so those are applied once more on top.
   */
  async load(request) {
    const missed = [];
    this.#loads.add(missed);
    try {
      for (const job of await request()) this.#put(job);
    } finally {
      this.#loads.delete(missed);
    }
    for (const [type, data] of missed) this.#apply(type, data);
    this.#prune();
    this.dispatchEvent(new Event("change"));
  }

  #apply(type, { job: id, ...changes }) {
    const known = this.#jobs.get(type === "job" ? changes.id : id);
    if (type === "job") {
      // A job that was only just submitted does not know its stages yet, but who submitted it may.
      this.#put({ ...changes, stages: changes.stages.length > 0 ? changes.stages : (known?.stages ?? []) });
      this.#prune();
    } else if (known !== undefined) {
      this.#put(type === "state" ? withState(known, changes) : withStage(known, changes));
    }
  }

  #put(job) {
    const before = this.#jobs.get(job.id);
    this.#jobs.set(job.id, job);
    if (before !== undefined && before.state !== job.state) {
      this.dispatchEvent(new CustomEvent("state", { detail: job }));
    }
  }

  #prune() {
    const newest = new Set(this.newest().map((job) => job.id));
    for (const id of this.#jobs.keys()) {
      if (!newest.has(id) && id !== this.#kept) this.#jobs.delete(id);
    }
  }
}

/** Return the job after a change of its own; `stages` are names, told when the job is admitted. */
function withState(job, { stages = job.stages.map((stage) => stage.name), ...changes }) {
  return { ...job, ...changes, stages: stages.map((name) => stageOf(job, name)) };
}

/** Return the job after a change of one of its stages; of its progress, too, only what changed is told. */
function withStage(job, changes) {
  const before = stageOf(job, changes.name);
  const changed = { ...before, ...changes };
  if (changes.progress) changed.progress = { ...UNKNOWN_PROGRESS, ...before.progress, ...changes.progress };
  const there = job.stages.some((stage) => stage.name === changes.name);
  const stages = job.stages.map((stage) => (stage.name === changes.name ? changed : stage));
  return { ...job, stages: there ? stages : [...stages, changed] };
}

function stageOf(job, name) {
  return job.stages.find((stage) => stage.name === name) ?? { ...NOT_REACHED, name };
}
