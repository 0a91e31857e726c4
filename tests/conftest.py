import signal

# Who starts the tests in the background of a script has SIGINT ignored, and so has all that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
