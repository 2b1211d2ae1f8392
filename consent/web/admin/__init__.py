"""Administration: everything here is for people who act as administrator, and nothing here opens a record.

routes      every address, on one screen
consents    find a consent, look at it, revoke it
certificates  the register of all certificates; freeze, thaw, revoke one
records     one version of a record: what hangs on it, delete it for good
clients     the registry: register, change, suspend, reinstate
invitations initial access tokens: issue, see who used which, revoke
client_options  the form for what a client has registered beyond who it is
forms       what the client forms send, and the reason that every change needs
cases       the desk for complaints and requests: pass on, answer
deaths      a holder has died: written down from a document
erasures    the desk for deleting whole spaces
activity    what happened lately, and counts per day
operation   whether proofs keep up, how long things take
keys        the keys of the service
rules       rule sets: look at one, load it
undelivered  notices that third parties have not taken; lost_mail: mail that was given up
lists       filters in the address, pages, files
labels      words that only administrators read
"""
