"""Runs a module of paho.mqtt.testing as its authors wrote it.

usage: paho_testing.py FOLDER MODULE PORT USER PASSWORD PAUSE [TEST...]

Prints "ok TEST" or "failed TEST" for each test. The suite's clients log in as
the user, and wait for PAUSE seconds behind a SUBSCRIBE: two tests publish on
another connection without waiting for the SUBACK, which any broker with more
than one thread may win or lose.
"""

import importlib
import os
import runpy
import sys
import time
import unittest

folder, module, port, user, password, pause, *tests = sys.argv[1:]
os.chdir(folder)
sys.path.insert(0, folder)
version = "V5" if module.endswith("5") else "V311"
Client = importlib.import_module("mqtt.clients." + version).Client
connect, subscribe = Client.connect, Client.subscribe


def connect_as_user(self, *args, **kw):
    return connect(self, *args, username=user, password=password.encode(), **kw)


def subscribe_and_wait(self, *args, **kw):
    identifier = subscribe(self, *args, **kw)
    time.sleep(float(pause))
    return identifier


class Result(unittest.TextTestResult):
    def stopTest(self, test):
        super().stopTest(test)
        bad = any(test is t for t, _ in self.failures + self.errors)
        print("failed" if bad else "ok", test.id().rsplit(".", 1)[1], flush=True)


def main():
    names = ["Test." + t for t in tests]
    runner = unittest.TextTestRunner(resultclass=Result, verbosity=2)
    program(module=sys.modules["__main__"], argv=[module, *names], testRunner=runner, exit=False)


Client.connect, Client.subscribe = connect_as_user, subscribe_and_wait
program, unittest.main = unittest.main, main
sys.argv = [module, "-p", port]  # on localhost: the suite takes -h for --help
runpy.run_path(module + ".py", run_name="__main__")
