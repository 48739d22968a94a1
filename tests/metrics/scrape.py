"""Reads a hub's metrics as a scraper does: `scrape.py URL FILE` writes the older text format into FILE, for promtool, and
holds the OpenMetrics one against the reference parser of the Prometheus project."""

import sys
import time
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as older


def read(url: str, accept: str) -> tuple[str, str]:
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.headers["content-type"], answer.read().decode()


# What a hub has to tell as soon as its market has opened.
NAMES = ("tapeline_messages_published_total", "tapeline_delivery_delay_seconds_bucket", "tapeline_build_info")
PATIENCE_S = 30


def samples(families) -> set[str]:
    return {sample.name for family in families for sample in family.samples}


def main() -> None:
    url, path = sys.argv[1:]
    end = time.monotonic() + PATIENCE_S
    # Requests are counted when they are answered: the first answer knows of none.
    while missing := set(NAMES) - samples(older(read(url, "text/plain")[1])):
        assert time.monotonic() < end, f"{missing} are missing"
        time.sleep(0.05)
    kind, text = read(url, "text/plain")
    assert kind.startswith("text/plain; version=0.0.4"), kind
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    before = samples(older(text))
    kind, text = read(url, "application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text; version=1.0.0"), kind
    of_openmetrics = samples(openmetrics(text))
    # What happens for the first time meanwhile has a name from then on.
    after = samples(older(read(url, "text/plain")[1]))
    assert before <= of_openmetrics <= after, (before - of_openmetrics, of_openmetrics - after)
    print(f"{len(of_openmetrics)} metrics in both formats")


main()
