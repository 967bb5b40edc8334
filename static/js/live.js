/* Keeps the page true: the socket brings hints, never HTML; the page re-reads the rows they name, in place.
   Nothing is inserted, removed or moved until the person asks for it. */
(() => {
  "use strict";

  const BATCH_MS = 100, BATCH_MOST_MS = 2000, IDS_AT_ONCE = 200;
  const HELD_MS = 500;
  const NEARBY_MS = 1500; // actions and runs move often, and only colour what a row says next
  const SIGNED_OUT = 4401, MOVED_AWAY = 4403;
  const RETRY_FIRST_MS = 500, RETRY_MOST_MS = 15000;
  const RETRY_EARLY_MS = 3000; // until the page polls: a server that restarts is back within seconds
  const STALE_AFTER_MS = 10000;
  const SETTLED_MS = 250; // who is refused is let in first, to be told why
  const POLL_FAST_MS = 3000, POLL_FAST_TIMES = 20, POLL_SLOW_MS = 60000;
  const ANNOUNCE_MS = 10000;

  const indicator = document.getElementById("live");
  if (!indicator) return;
  const words = indicator.querySelector("[data-words]");
  const list = document.getElementById("incidents");
  const detail = document.querySelector("[data-incident], [data-run]");
  const announcer = document.getElementById("announce");
  const plainTitle = document.title;

  /* ---- what the page shows ------------------------------------------------------------------ */

  const arrived = new Set(); // ids that match this view and are not on screen yet
  let announcedAt = 0;

  const say = (text) => {
    if (!announcer || Date.now() - announcedAt < ANNOUNCE_MS) return;
    announcedAt = Date.now();
    announcer.textContent = text;
  };

  const showArrived = () => {
    const pill = document.getElementById("show-new");
    const text = `${arrived.size} new, show`;
    if (pill) {
      pill.hidden = arrived.size === 0;
      pill.querySelector("[data-words]").textContent = text;
    }
    document.title = arrived.size ? `(${arrived.size}) ${plainTitle}` : plainTitle;
    if (arrived.size) say(arrived.size === 1 ? "1 new incident" : `${arrived.size} new incidents`);
  };

  document.addEventListener("incidents:arrived", (event) => {
    for (const id of event.detail.ids) {
      if (!document.getElementById(`incident-${id}`)) arrived.add(id);
    }
    showArrived();
  });

  /* ---- re-reading --------------------------------------------------------------------------- */

  const changed = new Set();
  let isHearsay = true; // what changed is known from the line alone: whoever knows its last message knows enough
  let everything = false, timer = null, nearby = null, busy = false, again = false, isPressed = false;
  let pause = BATCH_MS, answeredAt = -BATCH_MS; // a server that answers slowly is asked less often

  addEventListener("pointerdown", () => { isPressed = true; });
  for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => { isPressed = false; });

  // A whole page is not patched under a finger, or under text that somebody is about to copy.
  const isHeld = () => isPressed || !getSelection().isCollapsed;

  const onScreen = () => [...list.querySelectorAll(".row")].map((row) => row.dataset.id);

  const rereadRows = () => {
    const query = new URLSearchParams(location.search);
    query.delete("page");
    const ids = [...everything ? onScreen() : changed].slice(0, IDS_AT_ONCE);
    ids.forEach((id) => changed.delete(id));
    query.set("ids", ids.join(","));
    if (everything) query.set("peek", "1");
    else if (isHearsay) query.set("rev", revision);
    isHearsay = true;
    return htmx.ajax("GET", `${list.dataset.rows}?${query}`, {
      source: list, target: list, swap: "none", quiet: true,
    });
  };

  const rereadDetail = () => htmx.ajax("GET", location.pathname + location.search, {
    source: detail, target: detail, swap: "outerMorph", quiet: true,
  });

  const reread = async () => {
    timer = null;
    if (busy) { again = true; return null; }
    if (!list && detail && isHeld()) { timer = setTimeout(reread, HELD_MS); return null; }
    const work = list ? rereadRows() : detail ? rereadDetail() : null;
    everything = false;
    busy = true;
    const began = performance.now();
    try { await work; } finally {
      busy = false;
      answeredAt = performance.now();
      pause = Math.min(BATCH_MOST_MS, Math.max(BATCH_MS, (answeredAt - began) / 2));
    }
    if (again || changed.size) plan(); // a storm names more than one answer takes
    again = false;
    return null;
  };

  // At once where nothing was asked lately; what comes right after waits and goes together.
  const plan = () => { timer ??= setTimeout(reread, Math.max(0, answeredAt + pause - performance.now())); };

  const rereadAll = () => { everything = true; plan(); };

  // Something near the incidents moved: it may change their next step without changing themselves.
  const rereadSoon = () => {
    nearby ??= setTimeout(() => {
      nearby = null;
      if (list) onScreen().forEach((id) => changed.add(id));
      plan();
    }, NEARBY_MS);
  };

  const SAFETY = ["circuitbreaker", "killswitch", "globalkillswitch"];

  const isNews = ({ id, v }) => {
    const row = document.getElementById(`incident-${id}`);
    return !row || !v || Number(row.dataset.version) < v;
  };

  const take = (fact) => {
    document.body.dispatchEvent(new CustomEvent(`live:${fact.topic}`, { detail: fact }));
    if (detail && fact.id === detail.dataset.run) return plan();
    if (fact.topic !== "incident") return SAFETY.includes(fact.topic) ? rereadAll() : rereadSoon();
    if (detail && fact.id === detail.dataset.incident) plan();
    if (list && isNews(fact)) { changed.add(fact.id); plan(); }
  };

  // Somebody here changed more than the answer shows.
  document.addEventListener("page:stale", rereadAll);

  /* An answer that was read before a change may arrive after it. What the page shows then stays as it is, and is
     read again: an acknowledgement is never taken back by an older hint's rows. */
  document.addEventListener("htmx:before:swap", ({ detail: { ctx, tasks } }) => {
    for (const coming of tasks.flatMap(({ fragment }) => [...fragment?.querySelectorAll("[data-version]") ?? []])) {
      const shown = document.getElementById(coming.id);
      const isChanging = ctx.quiet && shown?.ariaBusy === "true"; // what was just done is not answered yet
      if (!shown || (!isChanging && Number(coming.dataset.version) >= Number(shown.dataset.version))) continue;
      coming.replaceWith(shown.cloneNode(true));
      if (list) changed.add(shown.dataset.id);
      isHearsay = false;
      plan();
    }
  });

  /* ---- "3 new, show" ------------------------------------------------------------------------ */

  document.addEventListener("click", (event) => {
    const pill = event.target.closest("#show-new");
    if (!pill || !list) return;
    event.preventDefault();
    showNew();
  });

  const showNew = async () => {
    const focused = document.activeElement?.closest?.(".row");
    const before = focused?.getBoundingClientRect().top;
    await htmx.ajax("GET", location.pathname + location.search, {
      source: list, target: list, swap: "outerMorph", select: "#incidents",
    });
    arrived.clear();
    showArrived();
    const after = focused && document.getElementById(focused.id);
    if (after) scrollBy(0, after.getBoundingClientRect().top - before); // the cursor row stays put
  };

  /* ---- the line ----------------------------------------------------------------------------- */

  let isNew = true; // until the server first says that it knows nothing
  let socket = null, failures = 0, lostAt = null, polls = 0, pollTimer = null, revision = "";

  const tell = (state, text) => {
    indicator.dataset.state = state;
    if (words.textContent !== text) words.textContent = text;
    const stale = document.getElementById("stale");
    if (stale) stale.hidden = state !== "off";
  };

  const poll = () => {
    if (socket?.readyState === WebSocket.OPEN) return;
    pollTimer = setTimeout(poll, ++polls <= POLL_FAST_TIMES ? POLL_FAST_MS : POLL_SLOW_MS);
    if (!document.hidden) rereadAll();
  };

  const lost = ({ code }) => {
    if (code === SIGNED_OUT || code === MOVED_AWAY) return tell("off", "Reload to go on");
    lostAt ??= Date.now();
    failures += 1;
    const limit = Date.now() - lostAt < STALE_AFTER_MS ? RETRY_EARLY_MS : RETRY_MOST_MS;
    const most = Math.min(limit, RETRY_FIRST_MS * 2 ** (failures - 1));
    setTimeout(connect, most / 2 + Math.random() * most / 2);
    setTimeout(() => {
      if (lostAt === null || Date.now() - lostAt < STALE_AFTER_MS) return;
      tell("off", "Live paused, retrying");
      if (!pollTimer) poll();
    }, STALE_AFTER_MS + 50);
  };

  const found = () => {
    const wasAway = failures > 0 || lostAt !== null;
    if (wasAway) isNew = false;
    failures = 0; polls = 0; lostAt = null;
    clearTimeout(pollTimer); pollTimer = null;
    tell("on", "Live");
    // Hints were missed meanwhile, or while the page was on its way here: the server answers with them, or that
    // everything may have changed.
    socket.send(JSON.stringify(wasAway ? { since: revision } : { age: performance.now() / 1000 }));
  };

  const hear = (event) => {
    const { facts = [], rev, reset } = JSON.parse(event.data);
    if (rev) revision = rev;
    if (reset) {
      // Nobody knows what came in while the page was on its way: that is asked for once it stands there.
      if (isNew) setTimeout(rereadAll, NEARBY_MS); else rereadAll();
      isNew = false;
    }
    facts.forEach(take);
  };

  function connect() {
    const address = new URL(indicator.dataset.socket, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    socket = new WebSocket(address);
    let settled = null;
    socket.addEventListener("open", () => { settled = setTimeout(found, SETTLED_MS); });
    socket.addEventListener("message", hear);
    socket.addEventListener("close", (event) => { clearTimeout(settled); lost(event); });
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden || socket?.readyState === WebSocket.OPEN) return;
    polls = 0;
    rereadAll();
  });
  // A page that comes back from the browser's own cache may be minutes old.
  addEventListener("pageshow", (event) => { if (event.persisted) { rereadAll(); } });

  connect();
})();
