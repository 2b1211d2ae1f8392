"""One file per specification noun.

server        authorization server on Authlib (RFC 6749, OpenID Connect Core)
requests      the checks of an authorization request, in order; PAR and /authorize run the same list
par           pushed authorization requests (RFC 9126)
grants        authorization code and refresh token grants (RFC 6749, 7636, 9396)
client_auth   private_key_jwt (RFC 7523), client_secret_basic and _post
dpop          proof of possession (RFC 9449)
replay        identifiers of assertions and proofs, each accepted once
tokens        codes, access and refresh tokens, stored as digests, each bound to one consent
id_tokens     ID tokens and userinfo (OpenID Connect Core)
validator     token and live consent -> Permission, installed in the data API's guard
introspection RFC 7662
revocation    RFC 7009
metadata      discovery documents (RFC 8414, OpenID Connect Discovery, RFC 9728)
"""
