// Signing in with openid-client: discovery, code flow with PKCE, state and nonce, ID token, userinfo, refresh,
// introspection, revocation; if the configuration says so, with a signed request, by another response mode, with DPoP,
// as a client that registers itself first.
// The library checks every signature and claim; what is asserted here is what it returned.
import assert from "node:assert/strict";
import * as client from "openid-client";
import { configuration, done, open, signingKey } from "./browser.mjs";

const authentications = {
  client_secret_basic: () => client.ClientSecretBasic(configuration.secret),
  client_secret_post: () => client.ClientSecretPost(configuration.secret),
  private_key_jwt: async () => client.PrivateKeyJwt(await signingKey()),
};

const issuer = new URL(configuration.issuer);
const execute = [client.allowInsecureRequests];
const metadata = {
  id_token_signed_response_alg: configuration.alg,
  authorization_signed_response_alg: configuration.jarm ?? undefined,
};
const config = configuration.initial_access_token
  ? await client.dynamicClientRegistration(
      issuer,
      {
        ...metadata,
        client_name: "示例应用",
        redirect_uris: [configuration.redirect_uri],
        grant_types: ["authorization_code", "refresh_token"],
      },
      client.ClientSecretBasic(),
      { execute, initialAccessToken: configuration.initial_access_token },
    )
  : await client.discovery(
      issuer,
      configuration.client_id,
      metadata,
      await authentications[configuration.method](),
      { execute },
    );
// The signature of the ID token too, although it came straight from the token endpoint.
client.enableNonRepudiationChecks(config);
if (configuration.jarm) client.useJwtResponseMode(config);
const DPoP = configuration.dpop
  ? client.getDPoPHandle(config, await client.randomDPoPKeyPair("ES256"))
  : undefined;

const pkceCodeVerifier = client.randomPKCECodeVerifier();
const expectedState = client.randomState();
const expectedNonce = client.randomNonce();
const parameters = {
  redirect_uri: configuration.redirect_uri,
  scope: "openid profile offline_access",
  code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
  code_challenge_method: "S256",
  state: expectedState,
  nonce: expectedNonce,
  ...configuration.parameters,
};
const url = await {
  plain: () => client.buildAuthorizationUrl(config, parameters),
  pushed: () => client.buildAuthorizationUrlWithPAR(config, parameters, { DPoP }),
  signed: async () => client.buildAuthorizationUrlWithJAR(config, parameters, await signingKey()),
}[configuration.request]();
const checks = { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true };
const tokens = await client.authorizationCodeGrant(config, await open(url), checks, undefined, { DPoP });
const { sub } = tokens.claims();
assert.equal(tokens.token_type, DPoP ? "dpop" : "bearer");

const user = await client.fetchUserInfo(config, tokens.access_token, sub, { DPoP });
assert.equal(user.name, configuration.name);

const fresh = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP });
assert.notEqual(fresh.access_token, tokens.access_token);
await client.fetchUserInfo(config, fresh.access_token, sub, { DPoP });

assert.equal((await client.tokenIntrospection(config, fresh.access_token)).active, true);
await client.tokenRevocation(config, tokens.refresh_token);
assert.equal((await client.tokenIntrospection(config, fresh.access_token)).active, false);
await assert.rejects(client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP }), { error: "invalid_grant" });

done({ sub });
