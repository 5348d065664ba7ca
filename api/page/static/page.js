import * as client from "./client.js";
import { JobDetail } from "./detail.js";
import { element, setText } from "./element.js";
import { Jobs, LIMIT, isUnfinished } from "./jobs.js";
import { takeFiles } from "./picker.js";
import { LiveStream } from "./stream.js";
import { JobTable } from "./table.js";
import { Uploads } from "./uploads.js";

/** Milliseconds after which "2 min. ago" is looked at again. */
const CLOCK = 15_000;
/** Lines that are kept to be read out. */
const ANNOUNCED = 5;

const at = (id) => document.getElementById(id);

const jobs = new Jobs();
const table = new JobTable(at("jobs"));
const ours = new Set();
let loaded = false;
let detail = null;
let drawing = false;

const chosenId = () => new URLSearchParams(location.hash.slice(1)).get("job");

function draw() {
  drawing = false;
  const newest = jobs.newest();
  table.update(newest, chosenId());
  at("empty").hidden = !loaded || newest.length > 0;
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
  table.focus(id);
}

function choose() {
  const id = chosenId();
  jobs.keep(id);
  if (detail !== null && detail.id !== id) closeDetail();
  drawSoon();
  return id === null || jobs.get(id) !== undefined ? null : loadOne(id);
}

/** Load jobs; where that fails, show `failure` with the reason. */
async function load(request, failure) {
  try {
    await jobs.load(request);
    showNotice(null);
  } catch (error) {
    if (!(error instanceof client.Problem)) throw error;
    showNotice(`${failure} ${error.message}`);
  }
}

const loadOne = (id) => load(async () => [await client.job(id)], "This job cannot be shown.");

function showNotice(text) {
  at("notice").hidden = text === null;
  setText(at("notice"), text ?? "");
}

/** Have a text read out. Lines are added, for a replaced one may be gone before it was read. */
function announce(text) {
  at("announcer").append(element("p", {}, text));
  while (at("announcer").childElementCount > ANNOUNCED) at("announcer").firstElementChild.remove();
}

function showConnection(state, text) {
  at("connection").dataset.connection = state;
  setText(at("connection"), text);
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
  opened: async () => {
    showConnection("live", "Live");
    await load(() => client.newestJobs(LIMIT), "The jobs cannot be listed.");
    loaded = true;
    await choose();
  },
  lost: () => showConnection("lost", "Connection lost, trying again…"),
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
setInterval(drawSoon, CLOCK);
choose();
