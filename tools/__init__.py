"""Set-up and demonstration on one machine; the service itself never imports this.

processes       starts, watches and stops the processes
demonstration   settings, database, keys and people of a demonstration
run             `make run`
messages        `make messages`: collects the texts of the pages
serving         the application for browsers of tests and of the pictures
stage           a demonstration in one process, set up in seconds
tour            pages to stop at, and what there is no page of
people          who stops where on the tour
histories       what they have behind them
screenshots     `make screenshots`: every page of the tour as a picture
picture         the README's pictures of the consent page
machines        the state machines, and where their states stand in pictures
state_picture   docs/images/*.svg of the states and the tables in docs/states.md
"""
