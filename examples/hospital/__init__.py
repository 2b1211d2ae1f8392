"""A hospital's counter: shows a QR code, waits until the patient has decided on a telephone, looks at the results once.

It asks without sending anybody anywhere (RFC 8628). Like the bank it imports nothing of the service.

counter   the pages on the counter's screen
"""
