/* Opens pages marked data-dialog in place, closes menus, and submits choices as they are made. */
(() => {
  "use strict";

  const dialog = document.getElementById("dialog");

  const show = () => {
    if (!dialog.open) dialog.showModal();
    const field = dialog.querySelector("[autofocus]") ?? dialog.querySelector("textarea") ?? dialog.querySelector("select");
    field?.focus();
    return field;
  };

  let coming = null; // the dialog that is on its way, and the keys that were pressed for it

  const expect = (one) => {
    coming = one;
    document.body.toggleAttribute("data-awaits", one !== null);
  };

  const open = async ({ href, method = "GET", source = dialog, values = {} }) => {
    const mine = { keys: [], isDone: false };
    expect(mine);
    if (!dialog.open) dialog.replaceChildren(); // else one that does not come would show what was there before
    await htmx.ajax(method, href, { source, target: dialog, swap: "innerHTML", values });
    if (coming !== mine) return;
    expect(null);
    if (dialog.childElementCount) write(show(), mine.keys);
    else if (mine.isDone && method === "POST") mine.keys.forEach(press); // done without a question
  };

  const write = (field, keys) => {
    if (!keys.length || !field?.matches("textarea, input:not([type=checkbox], [type=radio])")) return;
    field.value += keys.join("");
    field.dispatchEvent(new Event("input", { bubbles: true }));
  };

  const press = (key) => {
    document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  };

  // A hand is faster than a slow line: what it types for the dialog would be keys of the page below.
  document.addEventListener("keydown", (event) => {
    const { key } = event;
    if (!coming || dialog.open || event.ctrlKey || event.metaKey || event.altKey) return;
    if (key.length > 1 && !["Enter", "Escape", "Backspace"].includes(key)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (key === "Escape") expect(null);
    else if (key === "Backspace") coming.keys.pop();
    else if (key.length === 1) coming.keys.push(key);
  }, true);

  document.addEventListener("dialog:open", (event) => open(event.detail));

  // What a dialog's form did is on the page below; a refusal comes back into the dialog.
  document.addEventListener("htmx:after:request", (event) => {
    const { ctx } = event.detail;
    if (coming && ctx.target === dialog) coming.isDone = ctx.response.raw.ok;
    if (dialog?.open && ctx.response?.raw.ok && ctx.sourceElement?.matches("[data-dialog-form]")) dialog.close();
  });

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-dialog]");
    if (link && dialog && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      open({ href: link.href, source: link });
      return;
    }
    const isBackdrop = event.target === dialog && !isInside(event);
    if (event.target.closest("[data-close]") || isBackdrop) {
      if (dialog?.open) { event.preventDefault(); dialog.close(); }
    }
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });

  // A click on the backdrop has the dialog as its target, but lies outside of its box.
  const isInside = (event) => {
    const box = dialog.getBoundingClientRect();
    return event.clientX >= box.left && event.clientX <= box.right
      && event.clientY >= box.top && event.clientY <= box.bottom;
  };

  document.addEventListener("dialog:show", (event) => {
    const sheet = document.getElementById(event.detail);
    if (!sheet || !dialog) return;
    dialog.replaceChildren(sheet.content.cloneNode(true));
    show();
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of [...document.querySelectorAll("details.menu[open]")].reverse()) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-submits]")) event.target.form.requestSubmit();
  });

  // The way back shows the view of the address, not the choice that led away from it.
  addEventListener("pageshow", (event) => {
    if (event.persisted) document.querySelectorAll("form.filters").forEach((form) => form.reset());
  });

  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[data-copy-from]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const answer = await fetch(link.href).catch(() => null);
    if (answer?.ok) await navigator.clipboard.writeText(await answer.text());
    const said = answer?.ok ? { text: "Copied as Markdown" } : { text: "No answer from the server.", kind: "bad" };
    document.dispatchEvent(new CustomEvent("toast", { detail: said }));
  });

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(button.dataset.copy || location.href);
    document.dispatchEvent(new CustomEvent("toast", { detail: { text: "Copied" } }));
  });
})();
