// Reading a data space with oauth4webapi, as FAPI 2.0 asks: protected-resource and server metadata, pushed request,
// private_key_jwt, PKCE, DPoP with whatever nonces the server asks for, authorization_details, the read, refresh,
// introspection, revocation.
import assert from "node:assert/strict";
import * as oauth from "oauth4webapi";
import { configuration, done, open, signingKey } from "./browser.mjs";

const http = { [oauth.allowInsecureRequests]: true };
const issuer = new URL(configuration.issuer);

// RFC 9728: the resource names its authorization server
const resource = await oauth.processResourceDiscoveryResponse(
  issuer,
  await oauth.resourceDiscoveryRequest(issuer, http),
);
assert.deepEqual(resource.authorization_servers, [configuration.issuer]);
const as = await oauth.processDiscoveryResponse(
  issuer,
  await oauth.discoveryRequest(new URL(resource.authorization_servers[0]), { algorithm: "oauth2", ...http }),
);

const client = { client_id: configuration.client_id, id_token_signed_response_alg: "ES256" };
const authentication = oauth.PrivateKeyJwt(await signingKey());
const DPoP = oauth.DPoP(client, await oauth.generateKeyPair("ES256"));

// What the server wants in its nonce is learnt from its first refusal: every request may have to be sent twice.
let nonces = 0;
async function twice(send, receive) {
  try {
    return await receive(await send());
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error;
    nonces += 1;
    return receive(await send());
  }
}

const verifier = oauth.generateRandomCodeVerifier();
const state = oauth.generateRandomState();
const nonce = oauth.generateRandomNonce();
const parameters = new URLSearchParams({
  client_id: client.client_id,
  response_type: "code",
  redirect_uri: configuration.redirect_uri,
  scope: "openid",
  state,
  nonce,
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
  code_challenge_method: "S256",
  authorization_details: JSON.stringify(configuration.authorization_details),
});
const pushed = await twice(
  () => oauth.pushedAuthorizationRequest(as, client, authentication, parameters, { DPoP, ...http }),
  (response) => oauth.processPushedAuthorizationResponse(as, client, response),
);
const url = new URL(as.authorization_endpoint);
url.search = new URLSearchParams({ client_id: client.client_id, request_uri: pushed.request_uri });

const back = new URL((await open(url)).url);
const brought = oauth.validateAuthResponse(as, client, back, state); // state, and iss (RFC 9207)
const tokens = await twice(
  () =>
    oauth.authorizationCodeGrantRequest(as, client, authentication, brought, configuration.redirect_uri, verifier, {
      DPoP,
      ...http,
    }),
  async (response) => {
    const found = await oauth.processAuthorizationCodeResponse(as, client, response, {
      expectedNonce: nonce,
      requireIdToken: true,
    });
    await oauth.validateApplicationLevelSignature(as, response, http);
    return found;
  },
);
assert.equal(tokens.token_type, "dpop");
const [granted] = tokens.authorization_details;
assert.equal(granted.purpose, configuration.authorization_details[0].purpose);

const read = (accessToken) =>
  twice(
    () => oauth.protectedResourceRequest(accessToken, "GET", new URL("/api/v1/data", issuer), undefined, undefined, {
      DPoP,
      ...http,
    }),
    (response) => response.json(),
  );
const delivery = await read(tokens.access_token);
assert.deepEqual(
  delivery.items.map(({ item }) => item).sort(),
  granted.items.map(({ item }) => item).sort(),
);

const fresh = await twice(
  () => oauth.refreshTokenGrantRequest(as, client, authentication, tokens.refresh_token, { DPoP, ...http }),
  (response) => oauth.processRefreshTokenResponse(as, client, response),
);
assert.equal((await read(fresh.access_token)).consent.id, delivery.consent.id);

const introspected = async (token, options = {}) =>
  oauth.processIntrospectionResponse(
    as,
    client,
    await oauth.introspectionRequest(as, client, authentication, token, { ...http, ...options }),
  );
const known = await introspected(fresh.access_token);
assert.equal(known.active, true);
assert.equal(known.sub, oauth.getValidatedIdTokenClaims(tokens).sub);
assert.equal(known.grant_id, delivery.consent.id);

await oauth.processRevocationResponse(
  await oauth.revocationRequest(as, client, authentication, tokens.refresh_token, http),
);
assert.equal((await introspected(fresh.access_token)).active, false);
await assert.rejects(read(fresh.access_token), oauth.WWWAuthenticateChallengeError);

done({ items: delivery.items.length, grant_id: delivery.consent.id, nonces });
