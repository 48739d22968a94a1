"""Reads a hub's metrics as a scraper does: `scrape.py URL FILE` writes the older text format into FILE, for promtool, and
holds the OpenMetrics one against the reference parser of the Prometheus project."""

import sys
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as older


def read(url: str, accept: str) -> tuple[str, str]:
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.headers["content-type"], answer.read().decode()


def samples(families) -> set[str]:
    return {sample.name for family in families for sample in family.samples}


def main() -> None:
    url, path = sys.argv[1:]
    # Requests are counted when they are answered: the first answer knows of none.
    read(url, "text/plain")
    kind, text = read(url, "text/plain")
    assert kind.startswith("text/plain; version=0.0.4"), kind
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    of_older = samples(older(text))
    kind, text = read(url, "application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text; version=1.0.0"), kind
    of_openmetrics = samples(openmetrics(text))
    for name in ("tapeline_messages_published_total", "tapeline_delivery_delay_seconds_bucket", "tapeline_build_info"):
        assert name in of_openmetrics, f"{name} is missing"
    assert of_older == of_openmetrics, of_older ^ of_openmetrics
    print(f"{len(of_openmetrics)} metrics in both formats")


main()
