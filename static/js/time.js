/* Keeps times on the page true between two answers of the server: "2m" grows, "0:42" counts down. */
(() => {
  "use strict";

  const MINUTE = 60, HOUR = 3600, DAY = 86400;

  // The server's clock decides; this machine's may be wrong by minutes.
  const served = document.querySelector("meta[name=served-at]");
  const skew = served ? Date.parse(served.content) - Date.now() : 0;
  const now = () => Date.now() + skew;

  const ago = (seconds) => {
    if (seconds < 5) return "now";
    if (seconds < MINUTE) return `${Math.floor(seconds)}s`;
    if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)}m`;
    if (seconds < 2 * DAY) return `${Math.floor(seconds / HOUR)}h`;
    return `${Math.floor(seconds / DAY)}d`;
  };

  const left = (seconds) => {
    const whole = Math.max(0, Math.ceil(seconds));
    const two = (number) => String(number).padStart(2, "0");
    if (whole < HOUR) return `${Math.floor(whole / MINUTE)}:${two(whole % MINUTE)}`;
    return `${Math.floor(whole / HOUR)}:${two(Math.floor(whole / MINUTE) % 60)}:${two(whole % MINUTE)}`;
  };

  const write = (element, text) => {
    if (element.textContent !== text) element.textContent = text;
  };

  const tick = () => {
    const moment = now();
    for (const element of document.querySelectorAll("time[data-left]")) {
      write(element, left((Date.parse(element.dateTime) - moment) / 1000));
    }
    for (const element of document.querySelectorAll("time[data-ago]")) {
      write(element, ago((moment - Date.parse(element.dateTime)) / 1000));
    }
  };

  /* ---- u: the times of day in UTC, and back --------------------------------------------------- */

  let isUtc = false;
  const day = new Intl.DateTimeFormat("en-GB", { day: "2-digit", month: "short", timeZone: "UTC" });

  const inUtc = (element) => {
    if ("zone" in element.dataset) return "UTC";
    const time = element.dateTime.slice(11, 19);
    return "clock" in element.dataset ? time : `${day.format(new Date(element.dateTime))} ${time}`;
  };

  // What the server wrote is kept, and comes back; a row that was re-read meanwhile has new words.
  const turn = () => {
    for (const element of document.querySelectorAll("time[data-clock], time[data-exact], [data-zone]")) {
      const { here, utc } = element.dataset;
      if (isUtc && element.textContent !== utc) {
        element.dataset.here = element.textContent;
        element.dataset.utc = inUtc(element);
        write(element, element.dataset.utc);
      } else if (!isUtc && here !== undefined) {
        if (element.textContent === utc) write(element, here);
        delete element.dataset.here;
        delete element.dataset.utc;
      }
    }
  };

  document.addEventListener("do:utc", (event) => {
    event.preventDefault();
    isUtc = !isUtc;
    turn();
    document.dispatchEvent(new CustomEvent("toast", { detail: { text: isUtc ? "Times are UTC" : "Times are yours again" } }));
  });

  setInterval(() => document.hidden || tick(), 1000);
  document.addEventListener("visibilitychange", tick);
  document.addEventListener("htmx:after:swap", () => { tick(); if (isUtc) turn(); });
})();
