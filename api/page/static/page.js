import * as client from "./client.js";
import { JobDetail } from "./detail.js";
import { Jobs, LIMIT, isUnfinished } from "./jobs.js";
import { announce, showConnection, showNotice } from "./notices.js";
import { takeFiles } from "./picker.js";
import { LiveStream } from "./stream.js";
import { JobTable } from "./table.js";
import { Uploads } from "./uploads.js";

/** Milliseconds after which "2 min. ago" is written anew, and a list that failed is asked for again. */
const CLOCK = 15_000;

const at = (id) => document.getElementById(id);

const jobs = new Jobs();
const table = new JobTable(at("jobs"));
const ours = new Set();
let listed = false;
let detail = null;
let drawing = false;

const chosenId = () => new URLSearchParams(location.hash.slice(1)).get("job");

function draw() {
  drawing = false;
  const newest = jobs.newest();
  table.update(newest, chosenId());
  at("empty").hidden = !listed || newest.length > 0;
  const job = jobs.get(chosenId());
  if (job === undefined) return;
  if (detail?.id !== job.id) openDetail(job);
  detail.update(job);
}

/** Draw once before the next frame, however many events come until then. */
function drawSoon() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(draw);
}

function openDetail(job) {
  detail = new JobDetail(job, () => loadOne(job.id));
  at("detail").replaceChildren(detail.element);
  at("detail").hidden = false;
  document.body.classList.add("has-detail");
  detail.heading.focus();
}

function closeDetail() {
  const { id } = detail;
  detail = null;
  at("detail").hidden = true;
  at("detail").replaceChildren();
  document.body.classList.remove("has-detail");
  // Back to where it was opened from, unless the next one is already on its way.
  if (chosenId() === null) table.focus(id);
}

async function choose() {
  const id = chosenId();
  jobs.keep(id);
  if (detail !== null && detail.id !== id) closeDetail();
  drawSoon();
  if (id === null) showNotice(null);
  // Even a job that is known: should the stream have lost something, looking at it brings it up to date.
  else await loadOne(id);
}

/** Load jobs and tell whether that went well; where it did not, `failure` is shown with the reason. */
async function load(request, failure) {
  try {
    await jobs.load(request);
    showNotice(null);
    return true;
  } catch (error) {
    if (!(error instanceof client.Problem)) throw error;
    showNotice(`${failure} ${error.message}`);
    return false;
  }
}

const loadOne = (id) => load(async () => [await client.job(id)], "This job cannot be shown.");

async function list() {
  listed = await load(() => client.newestJobs(LIMIT), "The jobs cannot be listed.");
  if (listed) await choose();
}

jobs.addEventListener("change", drawSoon);
jobs.addEventListener("state", ({ detail: job }) => {
  // Only what this reader asked for is read out: others' jobs may change many times a second.
  if (!ours.has(job.id) && job.id !== chosenId()) return;
  announce(`${job.document.name}: ${job.state}`);
  if (!isUnfinished(job)) ours.delete(job.id);
});

new LiveStream(client.EVENTS, {
  // The stream comes first and the jobs second: what happens between the two is not missed.
  opened: () => {
    showConnection("live", "Live");
    list();
  },
  lost: (refused) => {
    showConnection("lost", "Connection lost, trying again…");
    listed = false;
    // EventSource does not tell why, but the list is refused for the same reason and does.
    if (refused) list();
  },
  received: (type, data) => jobs.receive(type, data),
});

const uploads = new Uploads(at("uploads"), (id) => {
  ours.add(id);
  loadOne(id);
});
takeFiles(at("files"), at("upload"), (files, folders) => {
  uploads.add(files);
  if (folders > 0) showNotice("A folder cannot be submitted. Drop the files that are in it.");
});

addEventListener("hashchange", choose);
addEventListener("beforeunload", (event) => {
  if (uploads.busy) event.preventDefault();
});
setInterval(() => (listed ? drawSoon() : list()), CLOCK);
