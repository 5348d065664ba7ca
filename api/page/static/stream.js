const EVENTS = ["job", "stage", "state"];
const FIRST_DELAY = 1000;
const LONGEST_DELAY = 30_000;

/**
 * The events of all jobs, for as long as somebody looks. EventSource itself resumes after a broken
 * connection, but gives up after an answer that is no stream (a proxy's 502): then a new one is opened.
 */
export class LiveStream {
  #source = null;
  #timer = null;
  #delay = FIRST_DELAY;

  /**
   * `opened()`, `lost(refused)` and `received(type, data)` are called as it happens; `refused` is
   * whether the server answered, but with an error, rather than not at all.
   */
  constructor(address, { opened, lost, received }) {
    this.address = address;
    this.opened = opened;
    this.lost = lost;
    this.received = received;
    // A browser allows six connections to a server: tabs in the background must not hold them.
    document.addEventListener("visibilitychange", () => this.#follow());
    this.#follow();
  }

  #follow() {
    if (document.visibilityState === "hidden") this.#close();
    else if (this.#source === null) this.#open();
  }

  #open() {
    const source = new EventSource(this.address);
    source.addEventListener("open", () => {
      this.#delay = FIRST_DELAY;
      this.opened();
    });
    source.addEventListener("error", () => {
      const refused = source.readyState === EventSource.CLOSED;
      this.lost(refused);
      if (refused) this.#reopen();
    });
    for (const type of EVENTS) {
      source.addEventListener(type, (event) => this.received(type, JSON.parse(event.data)));
    }
    this.#source = source;
  }

  #close() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #reopen() {
    this.#close();
    this.#timer = setTimeout(() => this.#follow(), this.#delay * (0.5 + Math.random() / 2));
    this.#delay = Math.min(LONGEST_DELAY, this.#delay * 2);
  }
}
