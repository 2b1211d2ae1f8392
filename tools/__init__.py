"""Set-up and demonstration on one machine; the service itself never imports this.

processes       starts, watches and stops the processes
demonstration   settings, database, keys and people of a demonstration
run             `make run`
messages        `make messages`: collects the texts of the pages
picture         the README's pictures of the consent page
state_picture   docs/images/states.svg and the table in docs/states.md
"""
