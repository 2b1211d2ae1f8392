"""岭南示例银行: a third party that reads data spaces, as an integrator would write it.

It shares no code with the service; everything it knows comes over HTTP.

fapi    what a data client needs beyond Authlib: pushed requests, DPoP, private_key_jwt, the iss check
keys    its two private keys, made once, kept in a file
offers  what the bank offers, and what it asks for each offer
ledger  loan applications, in a SQLite file
app     the pages: create_bank()
"""
