"""One module a command of the command line, each with `run(args) -> exit status`. `cli` imports the one it needs."""
