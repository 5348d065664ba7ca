/** The built-in stages' outputs as elements; their fields are described in stages/outputs.py. */

import { actionButton, element } from "./element.js";
import { count } from "./words.js";

const FIRST_ENTITIES = 25;

const percent = (share) => `${Math.floor(share * 100)} %`;

function heading(text, quiet) {
  return element("h3", {}, text, " ", element("span", { className: "quiet small" }, quiet));
}

function headRow(...titles) {
  return element("thead", {}, element("tr", {}, ...titles.map((title) => element("th", { scope: "col" }, title))));
}

/** Show pages of text; a page's text is put in when the page is opened, for there may be thousands. */
export function textView({ pages, engine }) {
  return [
    heading("Text", `${count(pages.length, "page")}, ${engine}`),
    ...pages.map((page, index) => pageView(page, index === 0)),
  ];
}

function pageView({ number, text, method, confidence }, open) {
  const facts = [method, ...(confidence === null ? [] : [`confidence ${percent(confidence)}`])];
  const title = element("summary", {}, `Page ${number} `, element("span", { className: "quiet small" }, facts.join(", ")));
  const view = element("details", { className: "page" }, title);
  view.addEventListener(
    "toggle",
    () => view.append(text ? pageText(number, text) : element("p", { className: "quiet" }, "No text.")),
    { once: true },
  );
  view.open = open;
  return view;
}

function pageText(number, text) {
  // A long page scrolls in its own frame, which the keyboard must be able to reach.
  return element("pre", { dir: "auto", tabIndex: 0, role: "region", "aria-label": `Text of page ${number}` }, text);
}

/** Show entities by their place in the text; the first few, until all are asked for. */
export function entityView({ entities, engine }) {
  const title = heading("Entities", `${count(entities.length, "entity", "entities")}, ${engine}`);
  if (entities.length === 0) return [title, element("p", { className: "quiet" }, "None found.")];
  const rows = element("tbody", {}, ...entities.slice(0, FIRST_ENTITIES).map(entityRow));
  const table = element("table", { className: "entities" }, headRow("Label", "Text", "Page"), rows);
  if (entities.length <= FIRST_ENTITIES) return [title, table];
  const more = actionButton(`Show all ${count(entities.length, "entity", "entities")}`, () => {
    rows.append(...entities.slice(FIRST_ENTITIES).map(entityRow));
    more.remove();
  });
  return [title, table, more];
}

function entityRow({ label, text, page, normalized, score }) {
  const differs = normalized !== null && normalized !== text.replaceAll(/\s+/g, " ");
  return element(
    "tr",
    { title: `score ${percent(score)}` },
    element("td", {}, element("span", { className: "label" }, label)),
    element("td", {}, element("bdi", {}, text), differs ? element("span", { className: "quiet small" }, normalized) : null),
    element("td", { className: "number" }, String(page)),
  );
}

/** Show what a document is about, with its key fields. */
export function summaryView({ type, title, summary, fields, engine, model }) {
  const head = heading("Summary", [type, engine, ...(model ? [model] : [])].join(", "));
  const said = element("div", { className: "summary", dir: "auto" }, element("h4", {}, title), element("p", {}, summary));
  if (fields.length === 0) return [head, said];
  const rows = element("tbody", {}, ...fields.map(fieldRow));
  return [head, said, element("table", { className: "fields" }, headRow("Field", "Value", "Page"), rows)];
}

function fieldRow({ name, value, page, quote, grounded }) {
  const warning = grounded ? null : element("span", { className: "warning small" }, "its quote is not in the text");
  return element(
    "tr",
    { title: quote ?? "" },
    element("th", { scope: "row" }, name.replaceAll("_", " ")),
    element("td", {}, element("bdi", {}, value), warning),
    element("td", { className: "number" }, page === null ? "" : String(page)),
  );
}

/** Show the output of a stage that this page does not know. */
export function jsonView(body) {
  return [heading("Output", ""), element("pre", {}, JSON.stringify(body, null, 2))];
}
