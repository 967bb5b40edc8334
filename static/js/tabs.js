/* Where tabs are too many for the screen, the one that is open is among those shown. */
(() => {
  "use strict";

  const show = () => {
    for (const tab of document.querySelectorAll(".tabs [aria-current]")) {
      const tabs = tab.parentElement;
      tabs.scrollLeft = tab.offsetLeft - tabs.offsetLeft - (tabs.clientWidth - tab.offsetWidth) / 2;
    }
  };

  show();
  addEventListener("resize", show);
})();
