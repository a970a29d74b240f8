"""A bounded load generator: N requests to a tumour model on this machine, then it stops.

Owns: what is sent, in which order, and how often something is wrong with it.
Does not: measure, run for ever, or leave the machine: it refuses any host but a loopback one.
Standard library only.

    python3 load.py --requests 100            prints one request id a line
    python3 load.py --requests 100 --planted planted.json
                                              also writes every personal value that it sent, so that
                                              a test can look for each of them where none may be:
                                              {"shaped": [...], "named": [...]}, see patients.py
"""

import argparse
import http.client
import json
import sys
import time
import urllib.parse

from patients import NAMED, SHAPED, biopsy, request_id

BAD_EVERY = 25      # a request whose mean_radius is an e-mail address: the model raises
MISSING_EVERY = 10  # a request without one feature: the model warns and answers
READY_WITHIN_S = 60


def payload(seed: int) -> dict:
    """What is sent for this seed; the same for the same seed."""
    body = biopsy(seed)
    if seed % BAD_EVERY == 0:
        body["mean_radius"] = body["user_email"]
    elif seed % MISSING_EVERY == 0:
        del body["worst_symmetry"]
    return body


def send(url: str, requests: int, seed: int = 1, rate: float = 0.0) -> list[tuple[str, int]]:
    """Sends them one after the other; returns each request id with the status that came back."""
    connection = connect(url)
    answers = []
    started = time.monotonic()
    for number in range(requests):
        if rate:
            time.sleep(max(0.0, started + number / rate - time.monotonic()))
        identity = request_id(seed + number)
        headers = {"Content-Type": "application/json", "X-Request-ID": identity}
        connection.request("POST", "/predict", json.dumps(payload(seed + number)), headers)
        response = connection.getresponse()
        response.read()
        answers.append((identity, response.status))
        if response.status >= 500:
            connection.close()  # the server does too, after an answer that does not say so
    connection.close()
    return answers


def connect(url: str) -> http.client.HTTPConnection:
    """A connection to a server that answers /healthz, waited for within a bound."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "http" or parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise SystemExit(f"load.py: {url} is not a loopback address")
    bound = time.monotonic() + READY_WITHIN_S
    while True:
        connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=30)
        try:
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            return connection
        except OSError as error:
            if time.monotonic() > bound:
                raise SystemExit(f"load.py: {url} did not answer in {READY_WITHIN_S} s: {error}") from None
            time.sleep(0.1)


def planted(requests: int, seed: int = 1) -> dict[str, list[str]]:
    """Every personal value that `send` sends with these arguments, without repeats."""
    sent = [payload(seed + number) for number in range(requests)]
    return {
        group: list(dict.fromkeys(body[name] for body in sent for name in names))
        for group, names in (("shaped", SHAPED), ("named", NAMED))
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Send a bounded number of requests to a local tumour model.")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second; 0: as fast as it goes")
    parser.add_argument("--seed", type=int, default=1, help="the first request's seed")
    parser.add_argument("--planted", help="a file to write the personal values to, as JSON")
    options = parser.parse_args()
    answers = send(options.url, options.requests, options.seed, options.rate)
    for identity, _ in answers:
        print(identity)
    if options.planted:
        with open(options.planted, "w", encoding="utf-8") as file:
            json.dump(planted(options.requests, options.seed), file)
    failed = sum(status != 200 for _, status in answers)
    print(f"{len(answers)} sent, {failed} refused (one in {BAD_EVERY} is sent broken)", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
