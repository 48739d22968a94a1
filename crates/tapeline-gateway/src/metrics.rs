//! `GET /metrics`: the hub's counters for Prometheus, in OpenMetrics 1.0 where that is asked for, else in the older text
//! format (<https://prometheus.io/docs/instrumenting/exposition_formats/>). Everything is read when it is asked for.
//!
//! Every label has a bound: families and the sources of dead letters are counted apart up to a number, routes and codes
//! are tables, and no client and no channel becomes a label.

mod feeds;
mod page;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use tapeline_core::stats::{Count, FamilyStats};
use tapeline_schema::events::FreshnessState;
use tapeline_schema::{ErrorCode, Priority};

use crate::app::App;
use crate::error::Failure;
use crate::native::NATIVE_DEFLATE;
use crate::process;
use crate::stats::{CONFLATED, Cause, DROPPED, closed, of_family, sum};

use page::{Page, Told, labels};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Stands for text that makes no label.
const STRANGE: &str = "other";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `GET /metrics`.
pub(crate) async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Failure> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Hub(app)));
    let mut told = String::new();
    if text::encode(&mut told, &registry).is_err() {
        return Err(Failure::new(ErrorCode::Internal, "the metrics cannot be written"));
    }
    let accepted = headers.get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok());
    if accepted.is_some_and(|accepted| accepted.contains("application/openmetrics-text")) {
        return Ok(([(header::CONTENT_TYPE, OPENMETRICS)], told).into_response());
    }
    Ok(([(header::CONTENT_TYPE, TEXT)], older(&told)).into_response())
}

/// OpenMetrics as the older format has it: a counter is called by its sample's name, and there is neither unit nor end.
fn older(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let mut help = None;
    for line in openmetrics.lines().filter(|line| !line.starts_with("# UNIT ") && *line != "# EOF") {
        if line.starts_with("# HELP ") {
            help = Some(line);
            continue;
        }
        let described = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '));
        let Some((name, kind)) = described else {
            text.extend([line, "\n"]);
            continue;
        };
        let suffix = match kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        let kind = if kind == "info" { "gauge" } else { kind };
        let said = help.take().and_then(|help| help.strip_prefix("# HELP ")?.split_once(' '));
        if let Some((_, said)) = said {
            text.extend(["# HELP ", name, suffix, " ", said, "\n"]);
        }
        text.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
    }
    text
}

/// All that is collected.
struct Hub(Arc<App>);

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hub")
    }
}

/// A label out of a stranger's text: as it is where it is a plain word.
fn plain(text: &str) -> &str {
    let is_plain = text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_plain { text } else { STRANGE }
}

impl Collector for Hub {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut page = Page(encoder);
        self.process(&mut page)?;
        self.connections(&mut page)?;
        self.messages(&mut page)?;
        self.queues(&mut page)?;
        self.channels(&mut page)?;
        self.tls(&mut page)?;
        self.requests(&mut page)
    }
}

impl Hub {
    fn process(&self, page: &mut Page<'_>) -> Told {
        let version = labels(["version"], [env!("CARGO_PKG_VERSION")]);
        let about = "The version that runs; always 1";
        page.begin("tapeline_build", about, None, MetricType::Info)?.encode_info(&version)?;
        page.begin(
            "process_start_time",
            "When the hub was started, since 1970",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?
        .encode_gauge(&self.0.started_at)?;
        let Some(process) = process::read() else { return Ok(()) };
        page.begin(
            "process_resident_memory",
            "Memory that is resident",
            Some(&Unit::Bytes),
            MetricType::Gauge,
        )?
        .encode_gauge(&process.resident_bytes)?;
        page.begin(
            "process_cpu",
            "Processor time, user and system",
            Some(&Unit::Seconds),
            MetricType::Counter,
        )?
        .encode_counter::<NoLabelSet, f64, u64>(&process.cpu_seconds, None)?;
        let memory = self.0.memory();
        page.begin(
            "tapeline_memory_limit",
            "Above it work is refused, the least urgent first (limits.memory_bytes); 0 for no limit",
            Some(&Unit::Bytes),
            MetricType::Gauge,
        )?
        .encode_gauge(&memory.limit_bytes)?;
        let steps = "What is refused for want of memory: 0 nothing, 1 low, 2 medium, 3 high publishes, and new sessions";
        page.gauge("tapeline_memory_pressure", steps, u64::from(memory.step))?;
        page.gauge("process_open_fds", "Files that are open, sockets included", process.open_files)
    }

    fn connections(&self, page: &mut Page<'_>) -> Told {
        let (app, hub) = (&*self.0, &*self.0.hub);
        let now =
            [(["websocket"], sum(hub, |shard| shard.sessions.read())), (["http"], app.open.count() as u64)];
        page.gauges("tapeline_connections", "Connections open now, by protocol", ["protocol"], now)?;
        let opened = sum(hub, |shard| shard.opened.read());
        page.counter("tapeline_sessions_opened", "Sessions that were opened", opened)?;
        let closed = closed(app).map(|(cause, count)| ([cause], count));
        page.counters(
            "tapeline_connections_closed",
            "Connections that the hub closed, by cause",
            ["cause"],
            closed,
        )?;
        let turned_away = app.addresses.turned_away.list().map(|(cause, count)| ([cause], count));
        page.counters(
            "tapeline_turned_away",
            "Connections and bodies that were not let in, by cause",
            ["cause"],
            turned_away,
        )?;
        let unnamed = [
            (["missing"], app.addresses.forwarded_missing.read()),
            (["malformed"], app.addresses.forwarded_malformed.read()),
        ];
        page.counters(
            "tapeline_forwarded_unread",
            "Requests of trusted proxies that did not say whose they are (http.client_header), by why",
            ["reason"],
            unnamed,
        )?;
        page.gauge(
            "tapeline_addresses",
            "Addresses that are remembered for their limits",
            app.addresses.len() as u64,
        )?;
        let standing = sum(hub, |shard| shard.subscriptions.read());
        page.gauge("tapeline_subscriptions", "Subscriptions standing now", standing)?;
        let resumed = [
            (["recovered"], sum(hub, |shard| shard.recovered.read())),
            (["not_recovered"], sum(hub, |shard| shard.not_recovered.read())),
        ];
        page.counters(
            "tapeline_resumes",
            "Places in channels that clients came back with, by whether they lack nothing",
            ["result"],
            resumed,
        )?;
        let incidents = hub.incidents().counts().map(|(kind, count)| ([kind.name()], count));
        page.counters(
            "tapeline_incidents",
            "Things that went wrong, by kind; /incidents has the latest",
            ["kind"],
            incidents,
        )
    }

    fn messages(&self, page: &mut Page<'_>) -> Told {
        let hub = &*self.0.hub;
        let families = hub.families().list();
        let known = families.iter().map(|(number, family)| {
            let published = hub.stats().families.of(*number);
            (&*family.name, family.priority.name(), published, *number)
        });
        let used: Vec<_> = known
            .filter(|(_, _, published, number)| {
                published.taken.read() + of_family(hub, *number, |family| &family.delivered) > 0
            })
            .collect();
        let by_family = ["family", "priority"];
        let counts =
            used.iter().map(|(name, priority, published, _)| ([*name, *priority], published.published()));
        page.counters("tapeline_messages_published", "Messages taken, by family", by_family, counts)?;
        let repeats = used
            .iter()
            .map(|(name, priority, published, _)| ([*name, *priority], published.duplicates.read()));
        page.counters(
            "tapeline_publishes_duplicate",
            "Publishes that repeated an earlier one and went nowhere",
            by_family,
            repeats,
        )?;
        let one = |count: fn(&FamilyStats) -> &Count| {
            let counts = used
                .iter()
                .map(move |(name, priority, _, number)| ([*name, *priority], of_family(hub, *number, count)));
            counts.collect::<Vec<_>>()
        };
        page.counters(
            "tapeline_messages_delivered",
            "Messages written to connections, whole, by family",
            by_family,
            one(|family| &family.delivered),
        )?;
        let caused = |causes: &[Cause]| {
            let each = causes.iter().flat_map(|(cause, count)| {
                one(*count)
                    .into_iter()
                    .map(move |([name, priority], count)| ([name, priority, *cause], count))
            });
            each.collect::<Vec<_>>()
        };
        let by_cause = ["family", "priority", "cause"];
        let replaced = "Messages that newer ones replaced while they waited, by family and cause";
        page.counters("tapeline_messages_conflated", replaced, by_cause, caused(&CONFLATED))?;
        let missing =
            "Messages that a subscriber of every message did not get and was told of, by family and cause";
        page.counters("tapeline_messages_dropped", missing, by_cause, caused(&DROPPED))?;
        let behind = "Times that a subscription fell behind and was caught up from what is kept, by family";
        page.counters("tapeline_catch_ups", behind, by_family, one(|family| &family.catch_ups))?;
        let refused = hub.stats().refused_by().map(|(code, count)| ([code.name()], count));
        page.counters("tapeline_publishes_refused", "Publishes refused, by error code", ["code"], refused)?;
        let delays = Priority::ALL.map(|priority| {
            let shards = hub.shard_stats().iter().filter_map(|shard| shard.delays.get(priority.lane()));
            (priority.name(), shards.collect())
        });
        page.seconds(
            "tapeline_delivery_delay",
            "From receipt by the hub to the write, of the oldest live message of each write, by priority",
            "priority",
            delays,
        )
    }

    fn queues(&self, page: &mut Page<'_>) -> Told {
        let hub = &*self.0.hub;
        let bytes = sum(hub, |shard| shard.bytes.read());
        page.begin(
            "tapeline_delivered",
            "Frames written to sessions",
            Some(&Unit::Bytes),
            MetricType::Counter,
        )?
        .encode_counter::<NoLabelSet, u64, u64>(&bytes, None)?;
        let waiting = sum(hub, |shard| shard.waiting_bytes.read());
        page.begin("tapeline_outboxes", "Waiting for sessions", Some(&Unit::Bytes), MetricType::Gauge)?
            .encode_gauge(&waiting)?;
        let bound = hub.settings().outboxes_bytes.saturating_mul(hub.shard_stats().len()) as u64;
        page.begin(
            "tapeline_outboxes_limit",
            "What may wait for all sessions together (limits.outboxes_bytes)",
            Some(&Unit::Bytes),
            MetricType::Gauge,
        )?
        .encode_gauge(&bound)?;
        let queued = self.0.shards.queued() as u64;
        page.gauge("tapeline_inbox_messages", "Messages waiting in the fullest shard's inbox", queued)?;
        let limit = hub.settings().inbox_messages as u64;
        page.gauge("tapeline_inbox_limit_messages", "What may wait there (limits.inbox_messages)", limit)?;
        page.begin("tapeline_bodies", "Bodies of requests under way", Some(&Unit::Bytes), MetricType::Gauge)?
            .encode_gauge(&(self.0.bodies.bytes() as u64))?;
        let waited = hub.stats().waited.read();
        page.counter(
            "tapeline_publishers_waited",
            "Times that a publisher waited for room in an inbox",
            waited,
        )?;
        let compressed = [(["messages"], NATIVE_DEFLATE.messages()), (["replies"], NATIVE_DEFLATE.replies())];
        page.counters(
            "tapeline_compressions",
            "What was compressed, each once whatever the number of its receivers",
            ["of"],
            compressed,
        )
    }

    fn channels(&self, page: &mut Page<'_>) -> Told {
        let hub = &*self.0.hub;
        let watched = hub.board().watched() as u64;
        page.gauge("tapeline_channels_watched", "Channels that said something within the hour", watched)?;
        let late = hub.board().late();
        let states = [FreshnessState::Delayed, FreshnessState::Stale, FreshnessState::Frozen];
        let by_state = states.map(|state| {
            ([state.name()], late.iter().filter(|channel| channel.state == state).count() as u64)
        });
        page.gauges(
            "tapeline_channels_late",
            "Channels that have fallen out of their rhythm, by how they stand",
            ["state"],
            by_state,
        )?;
        let letters = hub.dead_letters().counts();
        let mut by_reason = BTreeMap::<[&str; 2], u64>::new();
        for count in &letters {
            *by_reason.entry([&*count.source, &*count.reason].map(plain)).or_default() += count.taken;
        }
        page.counters(
            "tapeline_dead_letters",
            "Messages that were given up, by who did and why",
            ["source", "reason"],
            by_reason,
        )?;
        let lost = letters.iter().map(|count| count.lost).sum::<u64>();
        page.counter("tapeline_dead_letters_lost", "Dead letters that the hub could not write", lost)?;
        let lost = self.0.hub.comings().lost();
        page.counter("tapeline_presence_lost", "Comings and goings that the hub could not tell", lost)?;
        feeds::push(hub, page)
    }

    fn tls(&self, page: &mut Page<'_>) -> Told {
        let Some(tls) = &self.0.tls else { return Ok(()) };
        page.counters(
            "tapeline_tls_handshakes",
            "TLS handshakes, by what came of them",
            ["outcome"],
            tls.handshakes().list().map(|(outcome, count)| ([outcome], count)),
        )?;
        let left = "Until the certificate that is served ends; less than nothing when it has";
        page.begin("tapeline_certificate_expiry", left, Some(&Unit::Seconds), MetricType::Gauge)?
            .encode_gauge(&tls.seconds_left())
    }

    fn requests(&self, page: &mut Page<'_>) -> Told {
        const CLASSES: [&str; 6] = ["", "1xx", "2xx", "3xx", "4xx", "5xx"];
        let routes = self.0.requests.list();
        let counts = routes.iter().flat_map(|(route, stats)| {
            let asked = stats.by_class().filter(|(_, count)| *count > 0);
            asked.map(|(class, count)| ([*route, CLASSES.get(class).copied().unwrap_or_default()], count))
        });
        page.counters(
            "tapeline_http_requests",
            "HTTP requests answered, by route and status",
            ["route", "status"],
            counts,
        )?;
        let took = routes.iter().map(|(route, stats)| (*route, vec![&stats.took]));
        page.seconds("tapeline_http_request", "From a request's head to its answer, by route", "route", took)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_format_calls_a_counter_by_its_samples_name() {
        let told = "# HELP a Some.\n# TYPE a counter\na_total{k=\"v\"} 1\n# HELP b_seconds More.\n\
                    # TYPE b_seconds gauge\n# UNIT b_seconds seconds\nb_seconds 2\n# HELP c It.\n# TYPE c info\n\
                    c_info{v=\"1\"} 1\n# EOF\n";
        let expected = "# HELP a_total Some.\n# TYPE a_total counter\na_total{k=\"v\"} 1\n\
                        # HELP b_seconds More.\n# TYPE b_seconds gauge\nb_seconds 2\n\
                        # HELP c_info It.\n# TYPE c_info gauge\nc_info{v=\"1\"} 1\n";
        assert_eq!(older(told), expected);
    }
}
