// Signing out with openid-client: the person is sent to the end_session_endpoint and comes back, and the client hears of
// it by back-channel logout, whose token is checked with jose (OpenID Connect Back-Channel Logout section 2.6).
import assert from "node:assert/strict";
import { createRemoteJWKSet, jwtVerify } from "jose";
import * as client from "openid-client";
import { configuration, done, hear, open } from "./browser.mjs";

const config = await client.discovery(
  new URL(configuration.issuer),
  configuration.client_id,
  undefined,
  client.ClientSecretBasic(configuration.secret),
  { execute: [client.allowInsecureRequests] },
);
const pkceCodeVerifier = client.randomPKCECodeVerifier();
const expectedState = client.randomState();
const url = client.buildAuthorizationUrl(config, {
  redirect_uri: configuration.redirect_uri,
  scope: "openid",
  code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
  code_challenge_method: "S256",
  state: expectedState,
});
const tokens = await client.authorizationCodeGrant(config, await open(url), { pkceCodeVerifier, expectedState });
const { sub, sid } = tokens.claims();
assert.ok(sid);

const state = client.randomState();
const left = await open(
  client.buildEndSessionUrl(config, {
    id_token_hint: tokens.id_token,
    post_logout_redirect_uri: configuration.post_logout_redirect_uri,
    state,
  }),
);
assert.equal(new URL(left.url).searchParams.get("state"), state);

const form = await (await hear()).formData();
const { payload } = await jwtVerify(
  form.get("logout_token"),
  createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri)),
  {
    issuer: configuration.issuer,
    audience: configuration.client_id,
    algorithms: ["RS256"],
    typ: "logout+jwt",
    requiredClaims: ["iat", "exp", "jti", "events"],
  },
);
assert.deepEqual(payload.events, { "http://schemas.openid.net/event/backchannel-logout": {} });
assert.equal(payload.nonce, undefined);
assert.deepEqual([payload.sub, payload.sid], [sub, sid]);

done();
