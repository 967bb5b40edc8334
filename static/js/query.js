/* The query box: offers what may come next, and narrows the list by what is clicked. All of it works without. */
(() => {
  "use strict";

  const WAIT_MS = 120;

  /* ---- Alt-click leaves a value out ---------------------------------------------------------- */

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-without]");
    if (!link || !event.altKey) return;
    event.preventDefault();
    location.assign(link.dataset.without);
  });

  // A property of a row narrows the view that is open, not the one that the link names.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-narrow]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const box = document.getElementById("q");
    if (!box) return;
    event.preventDefault();
    const address = new URL(location.href);
    const token = (event.altKey ? "-" : "") + link.dataset.narrow;
    const words = box.defaultValue.trim();
    if (!` ${words} `.includes(` ${token} `)) address.searchParams.set("q", `${words} ${token}`.trim());
    for (const name of ["page", "status", "severity", "workflow", "vendor"]) address.searchParams.delete(name);
    location.assign(address);
  });

  /* ---- suggestions --------------------------------------------------------------------------- */

  const search = document.querySelector("[data-query]");
  if (!search) return;
  const box = search.querySelector("input");
  const list = search.querySelector("[role=listbox]");
  let timer = null, asked = 0, chosen = -1;
  let offeredFor = null; // the text that the options answer; while the box says more they are out of date
  let whenOffered = null; // what a key asked of the options that are still on their way

  box.setAttribute("role", "combobox");
  box.setAttribute("aria-autocomplete", "list");
  box.setAttribute("aria-controls", list.id);
  box.setAttribute("aria-expanded", "false");

  const options = () => [...list.children];

  const unchoose = () => {
    chosen = -1;
    for (const option of options()) option.setAttribute("aria-selected", "false");
    box.removeAttribute("aria-activedescendant");
  };

  const close = () => {
    clearTimeout(timer);
    asked += 1;
    list.hidden = true;
    whenOffered = null;
    unchoose();
    box.setAttribute("aria-expanded", "false");
  };

  const choose = (place) => {
    const all = options();
    chosen = (place + all.length) % all.length;
    all.forEach((option, at) => option.setAttribute("aria-selected", String(at === chosen)));
    box.setAttribute("aria-activedescendant", all[chosen].id);
    all[chosen].scrollIntoView({ block: "nearest" });
  };

  const ask = async () => {
    clearTimeout(timer);
    const mine = ++asked;
    const text = box.value;
    const query = new URLSearchParams({ q: text, at: box.selectionStart ?? text.length });
    const answer = await fetch(`${search.dataset.query}?${query}`, { headers: { "HX-Request": "true" } }).catch(() => null);
    const offered = answer?.ok ? await answer.text().catch(() => "") : "";
    if (mine !== asked || document.activeElement !== box) return;
    list.innerHTML = offered;
    offeredFor = text;
    if (!list.childElementCount) { close(); return; }
    unchoose();
    list.hidden = false;
    box.setAttribute("aria-expanded", "true");
    const act = whenOffered;
    whenOffered = null;
    act?.();
  };

  const askSoon = () => { clearTimeout(timer); timer = setTimeout(ask, WAIT_MS); };

  // What was offered for an earlier text would take the place of what is written now.
  const onceOffered = (act) => {
    if (offeredFor === box.value) { act(); return; }
    whenOffered = act;
    ask();
  };

  const take = (option) => {
    box.value = option.dataset.text;
    const at = Number(option.dataset.at);
    box.focus();
    box.setSelectionRange(at, at);
    close();
    askSoon();
  };

  box.addEventListener("input", () => { unchoose(); whenOffered = null; askSoon(); });
  box.addEventListener("focus", askSoon);
  box.addEventListener("blur", close);
  list.addEventListener("pointerdown", (event) => {
    const option = event.target.closest("[role=option]");
    if (!option) return;
    event.preventDefault(); // the box keeps its focus
    take(option);
  });

  box.addEventListener("keydown", (event) => {
    if (list.hidden || event.isComposing) return;
    const keys = {
      ArrowDown: () => onceOffered(() => choose(chosen + 1)),
      ArrowUp: () => onceOffered(() => choose(chosen < 0 ? options().length - 1 : chosen - 1)),
      Escape: close,
    };
    if (chosen >= 0) keys.Enter = () => take(options()[chosen]);
    // A second Tab leaves, however long the answer to the first takes.
    if (!event.shiftKey && !whenOffered) keys.Tab = () => onceOffered(() => take(options()[Math.max(chosen, 0)]));
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  });
})();
