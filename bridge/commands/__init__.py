"""What `krita-bridge` can do, a module for each command: `add_arguments(parser)` and `run(arguments)`.

Imported at every start of the command line, so the heavy things are imported inside `run`.
"""
