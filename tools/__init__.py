"""Set-up and demonstration on one machine; the service itself never imports this.

processes       starts, watches and stops the processes
demonstration   settings, database, keys and people of a demonstration
run             `make run`
"""
