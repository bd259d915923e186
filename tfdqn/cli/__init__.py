"""The command line: a verb's arguments flow in, what a person reads and an exit status flow out.

The next verb is a function in `runs`, `serving`, `reports`, `tasks` or `jobs`, which imports what it needs when it is
called: `tfdqn --help` stays light. Arguments that several verbs take stand in `arguments`, tables and bars in
`terminal`, in what is named `…_view`, and in `live_table`. An error becomes one line in `main`.
"""
