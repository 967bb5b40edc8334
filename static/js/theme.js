/* Switches light, dark and system at once; the cookie lets the server send the right page next time. */
(() => {
  "use strict";

  const ORDER = ["system", "light", "dark"];
  const YEAR_SECONDS = 31536000;
  const root = document.documentElement;

  document.addEventListener("submit", (event) => {
    const form = event.target.closest("[data-theme-form]");
    if (!form) return;
    event.preventDefault();
    const current = root.dataset.theme ?? "system";
    const next = ORDER[(ORDER.indexOf(current) + 1) % ORDER.length];
    if (next === "system") delete root.dataset.theme;
    else root.dataset.theme = next;
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `theme=${next}; Path=/; Max-Age=${YEAR_SECONDS}; SameSite=Lax${secure}`;
    form.querySelector("[data-words]").textContent = `Theme: ${next}. Switch`;
  });
})();
