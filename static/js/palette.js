/* The command palette: every command of the keyboard's table, every place of the menu, what can be undone. */
(() => {
  "use strict";

  const dialog = document.getElementById("dialog");
  const shape = document.getElementById("palette-shape");
  if (!dialog || !shape) return;

  const page = document.querySelector("[data-list]") ? "list"
    : document.querySelector("[data-incident], [data-run], [data-one]") ? "detail" : "other";
  const input = () => dialog.querySelector("#palette");
  const list = () => dialog.querySelector("#palette-options");
  const options = () => [...(list()?.querySelectorAll("[role=option]") ?? [])];
  const shown = () => options().filter((option) => !option.hidden);
  const active = () => list()?.querySelector("[aria-selected=true]");

  /* ---- what there is ------------------------------------------------------------------------ */

  const place = (link, number) => {
    const option = document.createElement("li");
    option.setAttribute("role", "option");
    option.id = `place-${number}`;
    option.dataset.href = link.href;
    const name = [...link.childNodes].find((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    option.textContent = `Go to ${(name?.data ?? link.textContent).trim()}`;
    return option;
  };

  const isHere = (option) => ["everywhere", page].includes(option.dataset.where ?? "everywhere");
  const can = ({ dataset: { does, needs } }) => !needs || document.querySelector(needs) || !does;

  const fill = () => {
    const known = new Set();
    for (const option of options()) {
      if (!isHere(option) || !can(option)) option.remove();
      else known.add(option.dataset.does);
    }
    const places = [...document.querySelectorAll(".side .places a")].filter((link) => !known.has(link.dataset.go));
    list().append(...places.map(place));
  };

  const offerUndo = async () => {
    const mine = list();
    const { steps } = mine.dataset;
    if (!steps) return;
    const answer = await fetch(steps, { headers: { "HX-Request": "true" } }).catch(() => null);
    const offered = answer?.ok && !answer.redirected ? await answer.text().catch(() => "") : "";
    if (list() !== mine) return; // the dialog is about something else by now
    mine.insertAdjacentHTML("beforeend", offered);
    narrow();
  };

  /* ---- narrowing ---------------------------------------------------------------------------- */

  const words = (text) => text.toLowerCase().split(/[^\p{L}\p{N}]+/u).filter(Boolean);

  // 0: no; 1: every word begins one of its words; 2: what else it is called by begins so.
  const rank = (option, asked) => {
    const said = words(option.dataset.words ?? "");
    const takesMore = option.dataset.does === "stop" && said.some((word) => asked[0] === word);
    if (takesMore || (asked.length && said[0]?.startsWith(asked[0]) && asked.length === 1)) return 2;
    const all = [...words(option.textContent), ...said];
    return asked.every((one) => all.some((word) => word.startsWith(one))) ? 1 : 0;
  };

  const choose = (option) => {
    active()?.setAttribute("aria-selected", "false");
    option?.setAttribute("aria-selected", "true");
    option?.scrollIntoView({ block: "nearest" });
    if (option) input().setAttribute("aria-activedescendant", option.id);
    else input().removeAttribute("aria-activedescendant");
  };

  const narrow = () => {
    const asked = words(input().value);
    const ranked = options().map((option, at) => ({ option, at: Number(option.dataset.at ??= at), rank: rank(option, asked) }));
    ranked.sort((one, other) => other.rank - one.rank || one.at - other.at);
    for (const { option, rank: found } of ranked) {
      option.hidden = found === 0;
      list().append(option);
    }
    dialog.querySelector("[data-nothing]").hidden = shown().length > 0;
    choose(shown()[0]);
  };

  /* ---- doing -------------------------------------------------------------------------------- */

  const stop = (rest) => {
    const link = document.querySelector("[data-stop]");
    if (!link) return;
    const address = new URL(link.href);
    if (rest) address.searchParams.set("find", rest);
    document.dispatchEvent(new CustomEvent("dialog:open", { detail: { href: address.href } }));
  };

  const pick = (option) => {
    if (!option) return;
    const rest = input().value.trim().split(/\s+/).slice(1).join(" ");
    const { does, href, undo } = option.dataset;
    dialog.close();
    if (href) location.assign(href);
    else if (undo) htmx.ajax("POST", undo, { source: document.body, target: document.body, swap: "none" });
    else if (does === "stop") stop(rest);
    else document.dispatchEvent(new CustomEvent("command", { detail: does }));
  };

  const open = () => {
    if (dialog.open) return;
    dialog.replaceChildren(shape.content.cloneNode(true));
    fill();
    dialog.showModal();
    input().focus();
    narrow();
    offerUndo();
  };

  for (const button of document.querySelectorAll("[data-palette]")) button.hidden = false;
  document.addEventListener("do:commands", (event) => { event.preventDefault(); open(); });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-palette]")) { event.preventDefault(); open(); }
    if (list()?.contains(event.target)) pick(event.target.closest("[role=option]"));
  });
  dialog.addEventListener("input", (event) => { if (event.target === input()) narrow(); });

  const STEPS = { ArrowDown: 1, ArrowUp: -1 };

  document.addEventListener("keydown", (event) => {
    // Not a key of a single letter, and wanted from inside a field too.
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      if (dialog.open && input()) dialog.close();
      else open();
      return;
    }
    if (event.target !== input() || event.isComposing) return;
    if (event.key in STEPS) {
      event.preventDefault();
      const all = shown();
      choose(all.at((all.indexOf(active()) + STEPS[event.key]) % all.length));
    } else if (event.key === "Enter") {
      event.preventDefault();
      pick(active());
    }
  }, true);

  // A field that says so is sent by Enter alone; Shift+Enter goes on writing.
  document.addEventListener("keydown", (event) => {
    const isSent = event.key === "Enter" && !event.shiftKey && !event.isComposing;
    if (!isSent || !event.target.matches?.("#stop-form textarea")) return;
    event.preventDefault();
    event.target.form.requestSubmit(event.target.form.querySelector("button.button-human"));
  });
})();
