/* Says what came of an action, and what went wrong with a request. */
(() => {
  "use strict";

  const SHOWN_MS = 6000, UNDO_MS = 8000;
  const region = document.getElementById("toasts");
  const shape = document.getElementById("toast-shape");
  if (!region || !shape) return;

  const dismissLater = (toast) => {
    if (toast.classList.contains("toast-bad")) return; // an error waits to be read
    const isLong = toast.querySelector("[data-undo]:not([hidden])");
    setTimeout(() => toast.remove(), isLong ? UNDO_MS : SHOWN_MS);
  };

  const show = ({ text, kind = "good", retry = null, undo = "" }) => {
    const toast = shape.content.firstElementChild.cloneNode(true);
    toast.classList.toggle("toast-bad", kind === "bad");
    toast.querySelector("[data-good]").toggleAttribute("hidden", kind === "bad");
    toast.querySelector("[data-bad]").toggleAttribute("hidden", kind !== "bad");
    toast.querySelector("[data-text]").textContent = text;
    if (retry) {
      const button = toast.querySelector("[data-retry]");
      button.hidden = false;
      button.addEventListener("click", () => { toast.remove(); retry(); });
    }
    if (undo) {
      const button = toast.querySelector("[data-undo]");
      button.hidden = false;
      button.dataset.undo = undo;
    }
    while (region.childElementCount >= 3) region.firstElementChild.remove();
    region.append(toast);
    dismissLater(toast);
  };

  region.addEventListener("click", (event) => {
    if (event.target.closest("[data-dismiss]")) event.target.closest(".toast").remove();
  });
  region.querySelectorAll(".toast").forEach(dismissLater);

  document.addEventListener("toast", (event) => show(event.detail));

  const WORDS = {
    403: "You may not do that here.",
    404: "This no longer exists, or is not yours to see.",
    429: "Too many requests. Wait a moment and try again.",
  };

  const again = (ctx) => () => {
    const { action, method, body } = ctx.request;
    const values = body ? Object.fromEntries(new URLSearchParams(body)) : {};
    htmx.ajax(method, action, { source: ctx.sourceElement, target: ctx.target, swap: ctx.swap, values });
  };

  document.addEventListener("htmx:before:response", (event) => {
    const { raw } = event.detail.ctx.response;
    // The session ended while the page was open: sign in and come back, do not swap a form in here.
    if (raw.redirected && new URL(raw.url).pathname.startsWith("/sign-in")) {
      event.preventDefault();
      location.reload();
    }
  });

  document.addEventListener("htmx:response:error", (event) => {
    const { ctx } = event.detail;
    const { status, headers } = ctx.response;
    if (ctx.quiet || headers.has("HX-Trigger")) return; // the answer explains itself
    const id = headers.get("X-Correlation-ID");
    const text = WORDS[status] ?? (status >= 500 ? "Something broke on our side." : "That was refused.");
    show({
      text: status >= 500 && id ? `${text} Request ${id}` : text,
      kind: "bad",
      retry: status >= 500 || status === 429 ? again(ctx) : null,
    });
  });

  document.addEventListener("htmx:error", (event) => {
    const { ctx } = event.detail;
    if (!ctx || ctx.quiet || ctx.response) return;
    show({ text: "No answer from the server.", kind: "bad", retry: again(ctx) });
  });
})();
