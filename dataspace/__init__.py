"""The resource server: data spaces of persons and bodies, and the data API that third parties read.

settings      every setting, typed, read once from the environment, checked at start
clock         now(): the only reader of the clock
days          where days begin
errors        what can go wrong, in domain words, each with its fixed public sentence
db            the SQLAlchemy object, column types, naming convention, transactions, SQLite pragmas
prepared      statements of the hot paths, compiled once
jwk           keys: JSON web keys and sets, thumbprints, key pairs of our own
jwe           encryption to a recipient: the only importer of joserfc
jose          the only importer of a JOSE library: sign, verify, canonical JSON; the door to jwk
identifiers   GB 11643 and GB 32100 check digits; keyed blind index
holders       natural person, legal entity, unincorporated body; roles
mandates      who may act for whom, in which capacity, from when until when
guardians     who decides for a child under 14, and until when
passkeys      credentials, enrolment codes and the two WebAuthn ceremonies
signins       a signed-in person, and whom the person acts for
datafiles     TOML data files checked against a JSON Schema; every problem named by file, entry and field
catalogue     data items, fields, classification under a versioned rule set
sealing       authenticated encryption of values at rest, each bound to its row
wrapping      wrapping keys: the interface of who keeps them, and keys in memory; key_file: in a file
vault         envelope encryption: one data key per space, wrapped; erasure by key
record_erasure deleting one record for good: the others of its space get another key
rewrapping    changing the wrapping key under a running service
spaces        Record (versions, source, digest), and what a holder has
extracts      what one permission may read of them, with its row in the access log
derivations   answers that are computed from a record of another item
walks         an item with many rows, page by page: cursors, and what counts as one read
frequency     so many times in a day, a week, a month, a quarter, a year
sources/      what feeds the spaces: connectors, imports, checks, how good each source is
lineage       from a delivery to the versions of records in it, and back to everybody who received one
corrections   versions of records that say that the one before was wrong
permission    Permission: the border value between the two packages
demonstration loads the made-up holders, mandates and records from data files
accesses      one row per answered or refused read
by_law        reads that rest on a law: cases, how often, lines that are shown later
disclosure    showing them when their time has come
entries       what enters the log of evidence: salted digests, in the transaction of what they prove
entered       a row together with its entry, in one statement
measured      how long things have taken, counted for administrators and monitoring
comparisons   values that a third party brings, compared with a record: match or no match, and nothing else leaves
delivery      the envelope around what leaves
tls           the certificate of a caller, as a proxy that we trust tells it
mail          where mail to a holder goes, what is on its way, and SMTP, which carries it
lost_mail     mail that was given up, for administrators
messages      what a holder is told: only kinds and ids, the words are made when they are read
outbox        what is still to be sent: claimed, posted, recorded, tried again; by several senders at once
addresses     where a URL that somebody else gave us may lead
fetching      the only way out to such a URL (SSRF guard)
portable      one item as its holder takes it elsewhere
web/          guard, sign-in, pages of one's own space, the data API

Import rule: dataspace never imports consent; only dataspace/web imports flask (db: flask_sqlalchemy only).
Sign-in lives here because both packages need the person and imports go one way.
"""
