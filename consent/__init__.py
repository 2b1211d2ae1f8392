"""The authorization server: third parties, what they may ask, consent records and the tokens bound to them.

clients       third parties: standing, keys, redirect URIs
subjects      whom a client knows a holder as: pairwise by sector, or public
installation  what the settings make possible for clients
client_options  what a client may register beyond who it is, and what of it is possible here
client_names  its names by language, as metadata writes them
claims        the standard claims of OpenID Connect, by scope and by the claims parameter
certificates  X.509 certificates of clients: what is registered, whether one fits (RFC 8705)
rules         the rules in force: caps on what may be asked, templates of purposes; the specific rule wins
powers        what authorities may read by law: versions that two administrators have made; power_files: from data files
statutory_terms  what one request by law asks
statutory_admission  whether its power allows it; refused attempts stand in the holder's log
vouching      whether somebody here has made sure who a third party is
pictures      what bytes are a picture, and how large, by their headers
logos         logos of clients: fetched once through the guard, kept, tried again
purposes      what a client is registered to ask, why, and the caps on it
asks          what a holder is asked, complete
admission     over-asking is refused: what a request asks becomes what the holder will be asked
terms         what one request asks, parsed from authorization_details
archives      signed files made in pieces, as a copy of everything in a space; archive_parts: what is in that
erasures      deleting a whole space: asked for, put off, decided, done by destroying its key
record_erasures  deleting one record: what goes with it, and what is written down
deaths        a holder has died: the space closes, nothing is deleted
keys          server signing keys, rotation, the public JWK set
merkle        RFC 6962 hashing and proofs, C2SP tile arithmetic: bytes in, bytes out
evidence      the log of evidence: its tiles and signed head, proofs
sequencer     takes what waits into the log of evidence and signs its new head
cosignatures  what witnesses have said of the log of evidence, and when to ask them again
witnesses     asking them (C2SP tlog-witness)
figures       what is counted at this moment, for monitoring
log_files     the log as files in a directory: what others have seen of it
log_change    the end of a log and the beginning of the next
notes         signed notes, checkpoints and cosignatures (C2SP): parse, sign, verify
records       Consent (immutable signed versions), ConsentEvent; state and why_inactive
received      which fields left with a read, and which reads a field left with
announcements what a client is told of its consents, and whether it has taken it
corrected     who has read what a source has taken back since is told
telling       who is told of which event: one table
history       the history of a consent, only ever appended: events, signed versions, the text as shown
data_certificates  certificates over delivered data: their life; certificate_standing: what they are worth now
certificate_issue making one from a living consent; certificate_status: their lists of statuses, as published
certificate_register the certificates of a space, or of all for administrators: search and pages
presentations showing one to a named receiver, by a link that opens once
sd_jwt        SD-JWT (RFC 9901): each field of a signed document can be shown alone
status_lists  Token Status List: places given away in shuffled order, the signed list
receipts      signed receipts of what happened to a consent, kept sealed; receipt_words: what they say first
approvals     who of a company has to agree: one, or two
lifecycle     ask, give, refuse, replace, approve: how a consent comes about
amendments    withdraw an item, shorten: changes of what a living consent allows, to less
pauses        pause and resume, suspend and reinstate
endings       withdraw, give back, revoke, expire: how it ends
receipt_check  a receipt that somebody brings: ours and unchanged, or which part does not fit
certificate_check  a certificate that somebody brings: ours, what it shows, what it is worth now
proof_check   a proof from the log that somebody brings: where it leads, or what of it does not match
manifests     signed lists of what is in a zip
evidence_package  everything that proves one consent, for a court, as one archive
programs      the programs that check without us, as files
regrading     items that became sensitive after they were given: the holder decides on them again
person_codes  codes by which a holder lets a third party ask, once; short_codes: letters that people read out
refusals      how long a third party waits after a refusal before it may ask again
deletions     the duty to delete: asked for, confirmed with a signature, overdue
reminders     the end announced, the holder reminded, kept as it is
differences   what is another in one document than in another
cases         what a person demands, with a number, a due date and an answer
due_dates     by when that is due: working days
overview      the lists and counts of the dashboard: reads only
supervision   what administrators may see: reads only, never a record
activity      what happened lately, and counts per day
interventions why administrators step in, and what they did to the service itself
scenarios     loads the registered third parties and purposes from data files
rule_files    loads a rule set from a data file: checked as a whole, compared with the set in force
rule_preview  which live consents a rule set would refuse
proposals     purposes that a client proposes, and what an administrator decides about them
worker        background sweeps, safe to run several times at once
oauth/        one file per specification noun
web/          OAuth routes, consent pages, dashboard, administration

Import rule: consent imports dataspace, never dataspace/web (only consent/web does); only consent/web and, where
Authlib's Flask integration is wired, consent/oauth import flask. Sign-in lives in dataspace: both packages need the
person and imports go one way.
"""
