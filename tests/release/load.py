#!/usr/bin/env python3
"""A load on the proxy: a few clients that send requests one after the other, and want good answers of one release.

    load.py http://127.0.0.1:8080/ --release green --seconds 3

The last line says what was seen; the exit status is 1 if a request failed or another release has answered.
"""

import argparse
import collections
import http.client
import json
import sys
import threading
import time
from urllib.parse import urlsplit


class Load:
    """Clients that send requests until they are stopped."""

    def __init__(self, url, clients=8):
        self.address = urlsplit(url)
        self.answers = collections.Counter()
        self.failures = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._clients = [threading.Thread(target=self._send) for _ in range(clients)]

    def __enter__(self):
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for client in self._clients:
            client.join()

    def _send(self):
        connection = http.client.HTTPConnection(self.address.netloc, timeout=10)
        while not self._stop.is_set():
            try:
                connection.request("GET", self.address.path or "/")
                response = connection.getresponse()
                body = response.read()
                if response.status != 200:
                    raise ValueError(f"status {response.status}")
                release = json.loads(body)["release"]
            except (OSError, ValueError, http.client.HTTPException) as error:
                connection.close()
                with self._lock:
                    self.failures.append(repr(error))
            else:
                with self._lock:
                    self.answers[release] += 1

    def run(self, seconds):
        """Sends requests for a time."""
        with self:
            time.sleep(seconds)
        return self

    def mistakes(self, release=None):
        """What is wrong with the answers, in words; nothing if each is good and of the release."""
        found = [f"{len(self.failures)} requests failed: {self.failures[0]}"] if self.failures else []
        others = {name: count for name, count in self.answers.items() if release not in (None, name)}
        if others:
            found.append(f"answers of other releases than {release}: {others}")
        if not self.answers:
            found.append("there was no good answer")
        return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--release", help="the release that has to answer; any by default")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    load = Load(options.url, options.clients).run(options.seconds)
    mistakes = load.mistakes(options.release)
    print(f"load: {dict(load.answers)}, {len(load.failures)} failed", *mistakes, sep="; ")
    sys.exit(bool(mistakes))


if __name__ == "__main__":
    main()
