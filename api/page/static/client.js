/** The REST API, as this page uses it. Addresses are relative, so that a path prefix does no harm. */

export const EVENTS = "v1/events";

/** An answer that is an error; the message is what the server said of it. */
export class Problem extends Error {
  constructor(status, message, options) {
    super(message, options);
    this.name = "Problem";
    this.status = status;
  }
}

function problemFrom(status, body) {
  try {
    const { detail, title } = JSON.parse(body);
    if (typeof (detail ?? title) === "string") return new Problem(status, detail ?? title);
  } catch {
    // Not from Millrace but from something in front of it: its status is all there is to tell.
  }
  return new Problem(status, `The server answered with status ${status}.`);
}

async function call(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch (cause) {
    throw new Problem(0, "The server cannot be reached.", { cause });
  }
  if (!response.ok) throw problemFrom(response.status, await response.text());
  return response;
}

const jobAddress = (id) => `v1/jobs/${encodeURIComponent(id)}`;

/** Where one stage's output is. */
export function outputAddress(id, stage) {
  return `${jobAddress(id)}/outputs/${encodeURIComponent(stage)}`;
}

/** Return the newest jobs, newest first. */
export async function newestJobs(limit) {
  return (await (await call(`v1/jobs?limit=${limit}`)).json()).jobs;
}

export async function job(id) {
  return (await call(jobAddress(id))).json();
}

/** Return the body of a stage's output; a Problem with status 404 until it exists. */
export async function output(id, stage) {
  return (await call(outputAddress(id, stage))).json();
}

/** Ask for a change of a job: "cancel" or "retry". */
export async function change(id, verb) {
  await call(`${jobAddress(id)}/${verb}`, { method: "POST" });
}

/**
 * Submit a file as a job and return the job's id. `sent` is called with the share that has left,
 * from 0 to 1, which fetch cannot tell. Aborting `signal` rejects with its reason. With the `key` of
 * an earlier try that got through unnoticed, this gives the job that was made then.
 */
export function submit(file, key, { sent, signal }) {
  const body = new FormData();
  body.append("file", file, file.name);
  const request = new XMLHttpRequest();
  return new Promise((resolve, reject) => {
    request.upload.addEventListener("progress", (event) => sent(event.loaded / event.total));
    request.addEventListener("load", () => {
      if (request.status === 202) resolve(JSON.parse(request.responseText).id);
      else reject(problemFrom(request.status, request.responseText));
    });
    request.addEventListener("error", () => {
      reject(new Problem(0, "The connection broke, or the file can no longer be read."));
    });
    signal.addEventListener("abort", () => {
      request.abort();
      reject(signal.reason);
    });
    request.open("POST", "v1/jobs");
    request.setRequestHeader("Idempotency-Key", key);
    request.send(body);
  });
}
