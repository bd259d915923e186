"""What holds for every test: signals do what they do in a terminal, however the tests were started."""

import signal

# `nohup` and shells that start something in the background have them ignored, which every process below would inherit.
for each in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(each) is signal.SIG_IGN:
        signal.signal(each, signal.default_int_handler if each is signal.SIGINT else signal.SIG_DFL)
