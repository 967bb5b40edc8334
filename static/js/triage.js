/* Triage by key: snooze, assign, note, and taking the last step back. */
(() => {
  "use strict";

  const page = () => document.getElementById("incident");

  // The row under the cursor, or the incident of the page: where it is and where its answer goes.
  const subject = (row) => {
    if (row?.dataset.url) return { url: row.dataset.url, target: row, values: { from: "list" } };
    const here = page();
    return here && { url: location.pathname, target: here, values: {} };
  };

  const on = (name, act) => document.addEventListener(`do:${name}`, (event) => {
    const taken = act(event.detail.row);
    if (taken !== false) event.preventDefault();
  });

  const post = (verb, values) => (row) => {
    const one = subject(row);
    if (!one) return false;
    htmx.ajax("POST", `${one.url}${verb}/`, {
      source: one.target, target: one.target, swap: "outerMorph", values: { ...one.values, ...values },
    });
    return true;
  };

  const ask = (verb) => (row) => {
    const one = subject(row);
    if (!one) return false;
    document.dispatchEvent(new CustomEvent("dialog:open", { detail: { href: `${one.url}${verb}/` } }));
    return true;
  };

  for (const preset of ["1", "2", "3", "4", "5"]) on(`snooze-${preset}`, post("snooze", { preset }));
  on("snooze", ask("snooze"));
  on("assign", ask("assign"));
  on("merge", ask("merge"));
  on("assign-me", post("assign", { assignee: "me" }));
  on("label", () => document.getElementById("said-category")?.focus() ?? false);
  on("note", () => { document.querySelector("[data-note]")?.focus(); });

  /* ---- taking back -------------------------------------------------------------------------- */

  const underWay = new Set(); // what was done and is not answered yet
  let whenAnswered = null, taking = Promise.resolve();

  document.addEventListener("htmx:before:request", ({ detail: { ctx } }) => {
    if (ctx.request.method === "POST") underWay.add(ctx);
  });
  document.addEventListener("htmx:finally:request", ({ detail: { ctx } }) => {
    if (underWay.delete(ctx) && !underWay.size) whenAnswered?.();
  });

  // The last step is the one just done, answered or not: taken back before it arrives, another one would be meant.
  const allAnswered = () => new Promise((done) => {
    if (underWay.size) whenAnswered = done; else done();
  });

  const takeBack = (button) => {
    button?.closest(".toast").remove();
    const url = button?.dataset.undo || "/incidents/undo/";
    return htmx.ajax("POST", url, { source: document.body, target: document.body, swap: "none" });
  };

  const undoLatest = async () => {
    await allAnswered();
    await takeBack([...document.querySelectorAll(".toast [data-undo]:not([hidden])")].pop());
  };

  on("undo", () => { taking = taking.then(undoLatest, undoLatest); });

  document.addEventListener("click", (event) => {
    const button = event.target.closest(".toast [data-undo]");
    if (!button) return;
    event.preventDefault();
    takeBack(button);
  });

  // A dialog that was opened over a list has no incident's body to answer to: the row answers.
  document.addEventListener("htmx:config:request", (event) => {
    const { ctx } = event.detail;
    if (ctx.sourceElement?.matches?.("[data-dialog-form]") && !page()) {
      ctx.target = document.body;
      ctx.swap = "none";
    }
  });
})();
