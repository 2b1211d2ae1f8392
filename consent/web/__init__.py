"""The web side of the authorization server.

endpoints   thin routes of the OAuth and OpenID Connect endpoints
openapi     the OpenAPI description; its parts: openapi_schemas, openapi_answers, openapi_registration,
            openapi_certificates, openapi_data_certificates
registration  client registration and management (RFC 7591, 7592)
context     what wsgi built for this side
authorize   the consent page, screen by screen
device      where a code on another screen leads
waiting     requests that wait for a holder, and the code by which one lets somebody ask
steps       how far a person has come in deciding one request
visits      one person in front of one request; the pages for those who cannot go on
decisions   agree, refuse, wait for the second person
way_back    to the third party: every answer leaves here
party       a third party as holders see it
changes     what a request that replaces a consent would change of it
freshness   a recent sign-in before sensitive data is given
asking      what a page shows of a request or a consent, in the reader's language
messenger   sending at once what a request has put into an outbox
log         the log of evidence, as tile-log clients read it
metrics     figures of operation as monitoring systems read them
logos       logos of third parties at an address of ours
logout      signing out at the wish of a client; messenger: telling the others at once
dashboard   my authorizations, one consent, stopping it, the second person's approval
receipts    receipts as page and as files
check       checking what anybody holds; checked_certificate: what comes out, in words
certificates  certificates in their holder's hands; certificate_view: in words; presented: where a link to one leads
certificate_api  certificates for programs; keys, status lists and issuer metadata for everybody
packages    everything that proves one consent: asked for, made, fetched; archive_files: such files on a page
receipt_view  a receipt in words, made from nothing but the receipt; receipt_pdf: the same on paper
living      what a holder does with a living authorization; stopping many at once
cards       what the dashboard shows of a consent
archives    a copy of everything: asked for, made, fetched; archive_pages: what people read in it
erasures    deleting the whole space: what goes, what stays, ask for it, take it back
mail        mail to holders in words
inbox       messages to the holder, and what she wants to hear of
cases       complaints and requests of a holder
days        days in forms and addresses
origins     where what was read came from, and who received a version of a record
proofs      proofs from the log of evidence as they leave
statutes    reads by law: one case for its holder, the numbers for everybody
reads       who read my data, and the same as a file
admin       search, revoke, suspend, the client registry, powers to read by law,
            what happened lately, notices and mail that were not taken
wording     what the screens of a request call things: for grown-ups, and in simpler words for the young
explanation  how it is decided who may read what: the gate in order, from one table
words       labels of states, reasons, capacities and items in the reader's language
grounds     why an administrator stepped in, in the reader's language
commands    flask commands: keys, scenarios, worker; client_commands: the registry of clients;
            power_commands; record_commands; certificate_commands; wrapping_commands
"""
