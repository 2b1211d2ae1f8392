"""Figures of operation as monitoring systems read them (Prometheus text): for whoever has the token."""

import hashlib
import hmac
from collections.abc import Iterator

from flask import Blueprint, Response, request
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from consent import figures
from dataspace import clock, measured
from dataspace.errors import NotFound
from dataspace.measured import BOUNDS, HELP, Times
from dataspace.web.limits import limited
from dataspace.web.shell import services

bp = Blueprint("metrics", __name__)
PREFIX = "dataspace_"


@bp.get("/metrics")
@limited("120/minute")
def metrics() -> Response:
    """All figures, read anew. 404 while no token is set."""
    expected_digest = services().settings.metrics_digest
    if not expected_digest:
        raise NotFound("no metrics")
    scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
    digest = hashlib.sha256(token.strip().encode()).hexdigest()
    if scheme.lower() != "bearer" or not hmac.compare_digest(digest, expected_digest.lower()):
        return Response(status=401, headers={"WWW-Authenticate": "Bearer"})
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures())
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)


class _Figures(Collector):
    """For one answer."""

    def collect(self) -> Iterator[Metric]:
        """Gauges, then histograms."""
        for figure in figures.all_figures(clock.now()):
            gauge = GaugeMetricFamily(PREFIX + figure.name, figure.help, labels=[figure.label] if figure.label else [])
            for label, value in figure.values.items():
                gauge.add_metric([label] if figure.label else [], value)
            yield gauge
        for times in measured.times().values():
            yield _histogram(times)


def _histogram(times: Times) -> Metric:
    found = HistogramMetricFamily(f"{PREFIX}{times.kind}_seconds", HELP[times.kind])
    reached, buckets = 0, []
    for bound, count in zip((*map(str, BOUNDS), "+Inf"), times.counts, strict=True):
        reached += count
        buckets.append((bound, float(reached)))
    found.add_metric([], buckets, times.seconds)
    return found
