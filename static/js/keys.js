/* The keyboard. Which key does what is one table on the server, rendered as #keymap. */
(() => {
  "use strict";

  const table = document.getElementById("keymap"); // absent for who wants no keys of a single letter
  const page = document.querySelector("[data-list]") ? "list"
    : document.querySelector("[data-incident], [data-run], [data-one]") ? "detail" : "other";
  const bindings = new Map();
  for (const line of table ? JSON.parse(table.textContent) : []) {
    if (!["everywhere", page].includes(line.where)) continue;
    for (const key of line.keys) bindings.set(key, line.does);
  }

  const row = () => document.activeElement?.closest?.(".row");
  const links = () => [...document.querySelectorAll(".row .title")];

  // Where no row has the cursor yet, a key that can be undone means the first one, and puts the cursor there.
  const MEANS_FIRST = /^(open|acknowledge|resolve|snooze|assign|select)(-|$)/;
  const aim = (name) => {
    if (!row() && page === "list" && MEANS_FIRST.test(name)) links()[0]?.focus({ preventScroll: true });
    return row();
  };

  const move = (step) => {
    const all = links();
    if (!all.length) return;
    const at = all.indexOf(row()?.querySelector(".title"));
    const next = all[at < 0 ? 0 : Math.min(all.length - 1, Math.max(0, at + step))];
    next.focus({ preventScroll: true });
    next.closest(".row").scrollIntoView({ block: "nearest" });
  };

  const verb = (name) => {
    const here = row();
    if (here?.dataset.url) return act(here, name);
    const button = document.querySelector(`[data-verb="${name}"]`);
    if (!button) return;
    if (button.tagName !== "SUMMARY") return button.click();
    for (let menu = button.closest("details"); menu; menu = menu.parentElement.closest("details")) menu.open = true;
    button.parentElement.querySelector("textarea, input:not([type=hidden])")?.focus();
  };

  const act = (here, name) => {
    htmx.ajax("POST", `${here.dataset.url}${name}/`, {
      source: here, target: here, swap: "outerMorph", values: { from: "list" },
    });
  };

  const follow = (selector) => document.querySelector(selector)?.click();

  const DOES = {
    next: () => move(1),
    previous: () => move(-1),
    open: () => row()?.querySelector(".title").click(),
    "show-new": () => follow("#show-new:not([hidden])"),
    search: () => document.getElementById("q")?.focus(),
    back: () => follow("[data-back]"),
    "next-incident": () => follow("[data-next-incident]"),
    "previous-incident": () => follow("[data-previous-incident]"),
    stop: () => follow("[data-stop]"),
    theme: () => follow("[data-theme-switch]"),
    help: () => document.dispatchEvent(new CustomEvent("dialog:show", { detail: "help-sheet" })),
    clear: () => {}, // on the sheet; what is open or selected hears the key itself
    sidebar: () => document.querySelector(".app")?.classList.toggle("app-alone"),
  };

  // A place of the menu is gone to by its name.
  const place = (name) => document.querySelector(`[data-go="${name}"]`);
  const isTaken = (name) => !document.dispatchEvent(
    new CustomEvent(`do:${name}`, { cancelable: true, detail: { row: aim(name) } }));
  const run = (name) => (isTaken(name) ? null : DOES[name] ? DOES[name]() : place(name) ? place(name).click() : verb(name));

  // The command palette does what keys do.
  document.addEventListener("command", (event) => run(event.detail));

  const isTyping = (target) =>
    target.matches?.("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]");

  // Whoever follows a link means the page that comes: no key of theirs may act on the one that is still shown.
  const LEAVING_MS = 5000; // where the link led nowhere else after all
  let leftAt = -LEAVING_MS;
  const isElsewhere = (link) => link && link.target !== "_blank" && !link.hasAttribute("download")
    && !(link.hash && link.pathname === location.pathname);
  addEventListener("click", (event) => {
    const isNewTab = event.ctrlKey || event.metaKey || event.shiftKey;
    if (!event.defaultPrevented && !isNewTab && isElsewhere(event.target.closest?.("a[href]"))) leftAt = performance.now();
  });
  addEventListener("pageshow", () => { leftAt = -LEAVING_MS; });

  let pending = "", pendingTimer = null;

  // "i" alone is a key and the beginning of "i i": it counts when nothing follows.
  const lapse = () => { const does = bindings.get(pending); forget(); if (does) run(does); };
  const forget = () => { pending = ""; clearTimeout(pendingTimer); };

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || performance.now() - leftAt < LEAVING_MS) return;
    const isControl = event.ctrlKey || event.metaKey;
    if (event.altKey || (isControl && !bindings.has(`Ctrl+${event.key}`))) return;
    if (isTyping(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Enter" && event.target.closest("a, button, summary")) return; // the browser does it
    const pressed = isControl ? `Ctrl+${event.key}` : event.key;
    const keys = pending ? `${pending} ${pressed}` : pressed;
    if ([...bindings.keys()].some((known) => known.startsWith(`${keys} `))) {
      pending = keys;
      pendingTimer = setTimeout(lapse, bindings.has(keys) ? 400 : 1200);
      if (bindings.has(keys)) event.preventDefault();
      return;
    }
    forget();
    const does = bindings.get(keys);
    if (!does) return;
    event.preventDefault();
    run(does);
  });
})();
