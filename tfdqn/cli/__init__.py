"""The command line: verbs, arguments, tables and bars."""
