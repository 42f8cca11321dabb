"""A runtime in a process of its own, that does one round for each line it is given."""

import json
import os
import shlex
import subprocess


class Worker:
    """Prints {"load": ms} once it is ready, then one JSON line for each line on stdin."""

    def __init__(self, command, folder=None, core=None, threads=1, quiet=False):
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads), PYTHONDONTWRITEBYTECODE="1")
        command = ["taskset", "-c", core, *command] if core is not None else command
        errors = subprocess.DEVNULL if quiet else None
        self.process = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
        self.load = self.read()["load"]
        self.rounds = []

    def read(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise EOFError(f"{shlex.join(self.process.args)}: the worker ended early")

    def round(self, line="round"):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.read()

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)
