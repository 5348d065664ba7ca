/** What the page says of itself: a failure, the connection's state, and changes for screen readers. */

import { element, setText } from "./element.js";

/** Lines that are kept to be read out. */
const ANNOUNCED = 5;

const notice = document.getElementById("notice");
const connection = document.getElementById("connection");
const announcer = document.getElementById("announcer");

/** Show what went wrong; null when it is over. */
export function showNotice(text) {
  notice.hidden = text === null;
  setText(notice, text ?? "");
}

/** Show how the event stream is: "live" or "lost". */
export function showConnection(state, text) {
  connection.dataset.connection = state;
  setText(connection, text);
}

/** Have a text read out. Lines are added, for a replaced one may be gone before it was read. */
export function announce(text) {
  announcer.append(element("p", {}, text));
  while (announcer.childElementCount > ANNOUNCED) announcer.firstElementChild.remove();
}
