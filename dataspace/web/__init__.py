"""The web side of the data space.

shell      what every request gets: request id, language, security headers, error pages, health
faces      what a page calls things for a person and for a company
doors      addresses that lead to one of the faces, through sign-in
signin     passkey enrolment and sign-in, choosing whom to act for; current_actor()
known_browsers  browsers that somebody has signed in with before: a sign-in with a new one is told
mail_address  where mail to a holder goes, confirmed by a code
places     the main navigation: what each face does most, and how much waits there
pages      pages of one's own space: home, my data
tables     tables as files, without formulas
values     values of records as their holder reads them
guard      the per-application resource protector and its challenges
api        the data API that third parties read; answers: as JSON, or as a signed token
push       records that an authority brings by its own key
source_commands  flask commands: sources, imports
commands   flask commands: registrar, catalogue, demonstration records
"""
