/* Selecting rows, and doing one verb to all of them. The form works without this. */
(() => {
  "use strict";

  const list = document.querySelector("[data-list]");
  const form = () => document.getElementById("bulk");
  if (!list || !form()) return;

  let last = null; // the row that was ticked last: where a range begins

  const rows = () => [...list.querySelectorAll(".row")];
  const box = (row) => row?.querySelector("input[name=ids]");
  const ticked = () => rows().filter((row) => box(row)?.checked);

  const show = () => {
    const n = ticked().length;
    const counted = form().querySelector("[data-count]");
    const isAll = form().elements.all.checked;
    const text = isAll ? "All that match" : `${n} selected`;
    if (counted.textContent !== text) counted.textContent = text;
  };

  const tick = (row, is = true) => { if (box(row)) box(row).checked = is; };

  const range = (from, to) => {
    const all = rows();
    const [a, b] = [all.indexOf(from), all.indexOf(to)].sort((x, y) => x - y);
    all.slice(Math.max(0, a), b + 1).forEach((row) => tick(row));
  };

  const on = (name, act) => document.addEventListener(`do:${name}`, (event) => {
    if (act(event.detail.row) !== false) event.preventDefault();
  });

  on("select", (row) => {
    if (!box(row)) return false;
    tick(row, !box(row).checked);
    last = row;
    return show();
  });
  on("select-to-here", (row) => {
    if (!box(row)) return false;
    range(last ?? row, row);
    last = row;
    return show();
  });
  on("select-next", (row) => {
    const all = rows(), next = all[Math.min(all.length - 1, all.indexOf(row) + 1)];
    tick(row);
    tick(next);
    last = next;
    next?.querySelector(".title").focus();
    return show();
  });
  on("select-page", () => { rows().forEach((row) => tick(row)); show(); });

  const clear = () => {
    rows().forEach((row) => tick(row, false));
    form().elements.all.checked = false;
    last = null;
    show();
  };

  const said = (extra) => {
    const values = { ...Object.fromEntries(new FormData(form())), ...extra };
    delete values.csrfmiddlewaretoken;
    values.ids = ticked().map((row) => row.dataset.id).join(",");
    if (values.all) delete values.ids;
    return values;
  };

  // What a verb must be told is asked in the dialog; what is done at once is said by a toast.
  const ask = (extra) => document.dispatchEvent(new CustomEvent("dialog:open", {
    detail: { href: form().action, method: "POST", source: form(), values: said(extra) },
  }));

  const KEYS = {
    acknowledge: { verb: "acknowledge" }, resolve: { verb: "resolve" }, escalate: { verb: "escalate" },
    snooze: { verb: "snooze" }, "assign-me": { verb: "assign", assignee: "me" },
  };
  for (const preset of ["1", "2", "3", "4", "5"]) KEYS[`snooze-${preset}`] = { verb: "snooze", preset };
  for (const [name, extra] of Object.entries(KEYS)) {
    document.addEventListener(`do:${name}`, (event) => {
      if (!ticked().length) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      ask(extra);
    }, true);
  }

  document.addEventListener("submit", (event) => {
    if (event.target !== form() || !event.submitter) return;
    event.preventDefault();
    ask({ verb: event.submitter.value });
  });

  list.addEventListener("click", (event) => {
    if (!event.target.matches("input[name=ids]")) return;
    const row = event.target.closest(".row");
    if (event.shiftKey && last) range(last, row);
    last = row;
    show();
  });
  document.addEventListener("change", (event) => { if (event.target.form === form()) show(); });
  document.addEventListener("reset", (event) => { if (event.target === form()) setTimeout(clear); });
  document.addEventListener("selection:done", clear);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !document.querySelector("dialog[open]") && ticked().length) clear();
  });
  show();
})();
