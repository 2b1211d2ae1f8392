// Sends the page's form to the third party by itself (OAuth 2.0 Form Post Response Mode); without a script its button does.
"use strict";
(() => {
  const form = document.querySelector("form[data-wait]");
  const timer = setTimeout(() => form.submit(), Number(form.dataset.wait) * 1000);
  form.addEventListener("submit", () => clearTimeout(timer)); // by the button: once is enough
})();
