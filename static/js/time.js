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

  setInterval(() => document.hidden || tick(), 1000);
  document.addEventListener("visibilitychange", tick);
  document.addEventListener("htmx:after:swap", tick);
})();
