"""The command line: takes a verb and its arguments; prints what a person reads and returns an exit status.

To add a verb, write a function in `runs`, `serving`, `reports`, `tasks` or `jobs` that imports what it needs when it is
called, so that `tfdqn --help` stays fast. Arguments that several verbs share are in `arguments`; tables and progress
bars are in `terminal`, `live_table` and the modules named `…_view`. `main` turns an error into one line.
"""
