// Two minutes before the page stops waiting it says so; without a script the page tells the time, and has the same button.
"use strict";
(() => {
  const box = document.querySelector(".time-left");
  const WARNING = 120000;
  const wait = Number(box.dataset.until) * 1000 - Date.now() - WARNING;
  setTimeout(() => { box.querySelector("[role=alert]").hidden = false; }, Math.max(wait, 0));
})();
