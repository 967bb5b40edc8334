/* What changes by itself on an incident's page moves nothing: a part that grew keeps its height, and what is new
   stays away, until the person asks for it. */
(() => {
  "use strict";

  const pill = document.getElementById("show-changed");
  if (!pill) return;

  const PARTS = "#incident > div > *, #incident > aside > *";
  let before = null; // the heights by name, while an answer that nobody asked for is put in

  const parts = () => [...document.querySelectorAll(PARTS)];
  const nameOf = (part) => part.querySelector("h2")?.textContent || part.className.replace(/ ?held/, "");
  const isByItself = ({ quiet, sourceEvent }) => quiet || sourceEvent?.type?.startsWith("live:");
  const isSeenBelow = (part) => part.getBoundingClientRect().bottom < innerHeight;

  const letGo = (part) => {
    part.style.height = "";
    part.classList.remove("held");
    part.hidden = false;
  };

  const keep = (part) => {
    const height = before.get(nameOf(part));
    if (height === undefined) part.hidden = true;
    else if (part.offsetHeight !== height) {
      part.style.height = `${height}px`;
      part.classList.add("held");
    }
  };

  const tell = () => {
    const held = parts().filter((part) => part.hidden || part.classList.contains("held"));
    const isAsked = held.some((part) => part.querySelector(".asked"));
    pill.hidden = held.length === 0;
    pill.querySelector("[data-words]").textContent = isAsked ? "Approval asked, show" : "Changed, show";
    const announcer = document.getElementById("announce");
    if (isAsked && announcer) announcer.textContent = "Approval asked";
  };

  const show = () => {
    parts().forEach(letGo);
    tell();
    document.querySelector(".asked")?.scrollIntoView({ block: "nearest" });
  };

  document.addEventListener("htmx:before:swap", ({ detail: { ctx } }) => {
    before = isByItself(ctx) ? new Map(parts().map((part) => [nameOf(part), part.offsetHeight])) : null;
    if (!before) parts().forEach(letGo);
  });

  // Before the browser draws: nobody sees it move.
  document.addEventListener("htmx:after:swap", () => {
    if (before) parts().filter(isSeenBelow).forEach(keep);
    before = null;
    tell();
  });

  pill.addEventListener("click", show);
  document.addEventListener("do:show-changed", show);
  for (const verb of ["approve", "reject"]) document.addEventListener(`do:${verb}`, show); // what is answered is seen
})();
