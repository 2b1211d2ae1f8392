"""The web side of the authorization server.

endpoints   thin routes of the OAuth and OpenID Connect endpoints
context     what wsgi built for this side
authorize   /authorize and the consent page, step by step
dashboard   my authorizations, one consent, who read my data
admin       search, revoke, suspend, the client registry, what happened lately
words       labels of states, reasons, capacities and items in the reader's language
commands    flask commands: clients, keys, scenarios, worker
"""
