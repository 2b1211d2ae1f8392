// The passkey ceremony, the one step that needs a script. The page carries the addresses (data-options, data-verify),
// the kind of ceremony (data-ceremony: create or get) and every sentence that may have to be shown (data-problem).
"use strict";
(() => {
  const root = document.querySelector("[data-ceremony]");
  const button = root.querySelector("button");
  const creates = root.dataset.ceremony === "create";
  const refresh = 4 * 60 * 1000; // a challenge lives five minutes: a waiting field gets a new one before that
  let waiting = null; // the AbortController of the request that runs

  const toBytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0)).buffer;
  const toText = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

  function show(name) {
    const texts = [...root.querySelectorAll("[data-problem]")];
    const wanted = texts.find((e) => e.dataset.problem === name) || texts.find((e) => e.dataset.problem === "failed");
    texts.forEach((e) => { e.hidden = name === null || e !== wanted; });
  }

  async function post(url, body) {
    const answer = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRFToken": root.dataset.csrf },
      body: JSON.stringify(body),
    });
    const json = await answer.json();
    if (!answer.ok) throw Object.assign(new Error(json.title), { refusal: json.code || "failed" });
    return json;
  }

  function parse(options) {
    const method = creates ? "parseCreationOptionsFromJSON" : "parseRequestOptionsFromJSON";
    if (PublicKeyCredential[method]) return PublicKeyCredential[method](options);
    const list = (items) => (items || []).map((item) => ({ ...item, id: toBytes(item.id) }));
    const parsed = { ...options, challenge: toBytes(options.challenge) };
    if (creates) {
      parsed.user = { ...options.user, id: toBytes(options.user.id) };
      parsed.excludeCredentials = list(options.excludeCredentials);
    } else {
      parsed.allowCredentials = list(options.allowCredentials);
    }
    return parsed;
  }

  // Written by hand rather than by toJSON(), which some password managers' replacements lack.
  function serialise(credential) {
    const { response } = credential;
    const json = { clientDataJSON: toText(response.clientDataJSON) };
    if (creates) {
      json.attestationObject = toText(response.attestationObject);
      json.transports = response.getTransports ? response.getTransports() : [];
    } else {
      json.authenticatorData = toText(response.authenticatorData);
      json.signature = toText(response.signature);
      json.userHandle = response.userHandle ? toText(response.userHandle) : undefined;
    }
    return { id: credential.id, rawId: toText(credential.rawId), type: credential.type, response: json };
  }

  // The browser can stop offering a passkey that was removed here (WebAuthn Level 3, signal methods).
  function forget(rpId, credentialId) {
    if (PublicKeyCredential.signalUnknownCredential) {
      PublicKeyCredential.signalUnknownCredential({ rpId, credentialId }).catch(() => {});
    }
  }

  async function run(mediation) {
    if (waiting) waiting.abort();
    const mine = new AbortController();
    waiting = mine;
    const begun = await post(root.dataset.options, {});
    if (mine.signal.aborted) return;
    const request = { publicKey: parse(begun.publicKey), signal: mine.signal };
    if (mediation) request.mediation = mediation;
    const credential = await (creates ? navigator.credentials.create(request) : navigator.credentials.get(request));
    show(null);
    try {
      const done = await post(root.dataset.verify, { ceremony: begun.ceremony, credential: serialise(credential) });
      window.location.assign(done.next);
    } catch (error) {
      if (error.refusal === "passkey_unknown") forget(begun.publicKey.rpId, credential.id);
      throw error;
    }
  }

  function explain(error) {
    if (error.name === "AbortError") return; // by us, for a newer request
    if (error.refusal && error.refusal.startsWith("sign_in")) window.location.reload();
    else if (error.name === "NotAllowedError") show("cancelled");
    else if (error.name === "InvalidStateError") show("passkey_known");
    else show(error.refusal || "failed");
  }

  async function start() {
    button.disabled = true;
    show(null);
    try {
      await run();
    } catch (error) {
      explain(error);
      offer();
    } finally {
      button.disabled = false;
    }
  }

  // Conditional mediation: the browser offers passkeys at the field, without a dialog, until one is chosen.
  async function offer() {
    if (creates || !PublicKeyCredential.isConditionalMediationAvailable) return;
    if (!(await PublicKeyCredential.isConditionalMediationAvailable())) return;
    const renewal = setTimeout(offer, refresh);
    try {
      await run("conditional");
    } catch (error) {
      if (error.name !== "NotAllowedError") explain(error);
    } finally {
      clearTimeout(renewal);
    }
  }

  if (!window.PublicKeyCredential) {
    show("unsupported");
    return;
  }
  button.disabled = false;
  button.addEventListener("click", start);
  offer();
})();
