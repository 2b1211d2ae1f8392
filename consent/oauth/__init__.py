"""One file per specification noun.

server                 authorization server on Authlib, client authentication (RFC 6749, OpenID Connect Core)
registered_client      a client as Authlib sees it, read with one statement
forms                  parameters as they arrive, each at most once (RFC 6749 section 3.1)
requests               the checks of an authorization request, in order; PAR and /authorize run the same list
request_checks         the checks themselves; drafts: a request while it is looked at
request_objects        requests as a JWT that the client has signed (RFC 9101, OpenID Connect Core section 6)
par                    pushed authorization requests (RFC 9126)
device                 requests that are opened by a code on another screen, and fetched (RFC 8628)
ciba                   requests to somebody who is elsewhere (OpenID Connect CIBA Core); ciba_request: their parameters
fetching               answers that a client asks for again and again: what device and ciba share
waiting                the same requests from the holder's side
authorization          /authorize: from what a browser brings to a request that it has opened
answers                what the client is answered through the browser: a code or an error
response_modes         how it gets there: in the address, by a form, signed (JARM); always with iss (RFC 9207)
grants                 authorization code and refresh token grants (RFC 6749, 7636)
statutory              client credentials for reads by law (RFC 6749 section 4.4); statutory_tokens: what they bring
authorities            which authority brings records
client_auth            private_key_jwt (RFC 7523), client_secret_basic and _post
dpop                   proof of possession (RFC 9449)
nonces                 what DPoP proofs carry to be fresh (RFC 9449 sections 8 and 9)
possession             who sends a request; an access token presented: a bound one by proof only (RFC 6750, 9449)
reading                what a read of data asks of the database first, in one statement
replay                 identifiers of assertions and proofs, each accepted once
codes                  authorization codes, stored as digests, each bound to one consent
tokens                 access and refresh tokens, in the same way; bindings: what both are bound to
authorization_details  as granted (RFC 9396)
id_tokens              ID tokens (OpenID Connect Core)
identity               the values of claims, read live from the person's records
userinfo               OpenID Connect Core section 5.3
deliveries             what leaves the data API, signed and encrypted (RFC 7515, 7516)
validator              token and live consent -> Permission, installed in the data API's guard
introspection          RFC 7662
revocation             RFC 7009
resources              resource servers beside the data API (RFC 8707, 9068)
sessions               which clients signed somebody in, and who is still to hear that it is over
backchannel            telling them (OpenID Connect Back-Channel Logout)
security_events        telling clients what became of a consent (RFC 8417, 8935, 8936)
logout                 the checks of a logout request (OpenID Connect RP-Initiated Logout)
deletion_statements    what a client says, signed, that it has deleted
registration           dynamic client registration and management (RFC 7591, 7592, OpenID Connect Registration)
entrance               the link by which a sign-in begins here (OpenID Connect Core section 4)
initial_access         initial access tokens (RFC 7591 section 3)
metadata               discovery documents (RFC 8414, OpenID Connect Discovery, RFC 9728)
errors                 OAuth errors that Authlib lacks, and the bridge from our domain's
"""
