/* Shows at once what a verb is about to make of an incident. An answer that says otherwise, or none, takes it back. */
(() => {
  "use strict";

  const shape = document.getElementById("becoming");
  if (!shape) return;

  const ACTION = /^\/incidents\/([0-9a-f-]{36})\/([a-z]+)\/$/;
  const written = new WeakMap(); // a pill that is shown ahead -> the one that the server wrote

  // The row or page of the incident that a request changes, and the verb.
  const subject = ({ request: { action, method } }) => {
    const [, id, verb] = (method === "POST" && ACTION.exec(new URL(action, location.href).pathname)) || [];
    const place = id && (document.getElementById(`incident-${id}`) ?? document.querySelector(`[data-incident="${id}"]`));
    return { place, verb };
  };

  const become = (verb, shown) => {
    const kind = /pill-(\w+)/.exec(shown.className)[1];
    const pill = shape.content.querySelector(`[data-by="${verb}"][data-of~="${kind}"] .pill`)?.cloneNode(true);
    if (!pill) return;
    pill.dataset.becoming = verb;
    written.set(pill, written.get(shown) ?? shown);
    shown.replaceWith(pill);
  };

  const takeBack = (pill) => {
    const before = written.get(pill);
    if (before) pill.replaceWith(before);
    else document.dispatchEvent(new CustomEvent("page:stale"));
  };

  document.addEventListener("htmx:before:request", ({ detail: { ctx } }) => {
    const { place, verb } = subject(ctx);
    place?.setAttribute("aria-busy", "true");
    const shown = place?.querySelector(":is(.cell-state, .verbs) > .pill");
    if (shown) become(verb, shown);
  });

  // An answer that tells of the incident has put its own pill there by now.
  document.addEventListener("htmx:finally:request", ({ detail: { ctx } }) => {
    const { place, verb } = subject(ctx);
    place?.removeAttribute("aria-busy");
    const pill = place?.querySelector(`[data-becoming="${verb}"]`);
    if (pill) takeBack(pill);
  });
})();
