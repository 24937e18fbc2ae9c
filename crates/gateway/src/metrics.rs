//! The numbers of the moment, for Prometheus. Labels come from fixed sets: a caller cannot make
//! a new series.

use std::sync::atomic::AtomicU64;

use bartizan_core::RefusalCode;
use bartizan_ledger::Standing;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Upper bounds of the latency buckets, in seconds.
const LATENCY_BUCKETS_S: [f64; 12] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5];

type Labels = Vec<(&'static str, &'static str)>;

/// Counters of one server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    answered: Counter,
    refused: Vec<Counter>,
    latency: Histogram,
    unrecorded: Counter,
    /// Connections that are open.
    pub connections: Gauge,
    /// Requests between their first byte and their answer.
    pub in_flight: Gauge,
    /// TLS handshakes that failed.
    pub handshakes_failed: Counter,
    writable: Gauge,
    anchored: Gauge,
    published: Gauge,
    cosigned: Gauge,
    stamped: Gauge,
    models: Gauge,
    resident: Gauge<i64>,
    scanner: Family<Labels, Gauge>,
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("bartizan");
        let decisions = Family::<Labels, Counter>::default();
        let of = |verdict, code| {
            decisions.get_or_create(&vec![("verdict", verdict), ("code", code)]).clone()
        };
        let answered = of("answered", "none");
        let refused = RefusalCode::ALL.iter().map(|code| of("refused", code.as_str())).collect();
        registry.register("decisions", "Decisions, by what became of them", decisions.clone());
        let latency = Histogram::new(LATENCY_BUCKETS_S);
        let help = "From the end of the head to the finished answer";
        registry.register_with_unit("decision_latency", help, Unit::Seconds, latency.clone());
        let unrecorded = Counter::<u64, AtomicU64>::default();
        let help = "Requests turned away because their decision could not be recorded";
        registry.register("unrecorded", help, unrecorded.clone());
        let connections = Gauge::default();
        registry.register("connections", "Connections that are open", connections.clone());
        let in_flight = Gauge::default();
        registry.register("requests_in_flight", "Requests being answered", in_flight.clone());
        let handshakes_failed = Counter::default();
        let help = "TLS handshakes that failed";
        registry.register("tls_handshakes_failed", help, handshakes_failed.clone());
        let writable = Gauge::default();
        registry.register("ledger_writable", "1 while records can be written", writable.clone());
        let mut gauge = |name: &str, help: &str| -> Gauge {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let anchored = gauge(
            "ledger_anchored",
            "1 where something outside the store remembers how long the log is",
        );
        let published = gauge("ledger_published_records", "Records that a checkpoint covers");
        let cosigned = gauge(
            "ledger_witnessed_records",
            "Records of the newest checkpoint that witnesses cosigned",
        );
        let stamped = gauge(
            "ledger_time_stamped_records",
            "Records of the newest checkpoint that was time-stamped since the start",
        );
        let models = Gauge::default();
        registry.register("models", "Model versions that are loaded", models.clone());
        let resident = Gauge::default();
        let help = "Memory that loaded models hold";
        registry.register_with_unit("models_resident", help, Unit::Bytes, resident.clone());
        let scanner = Family::<Labels, Gauge>::default();
        let help = "1 where the model gate's child is shut in by these means, 0 in part or not";
        registry.register("scanner_confined", help, scanner.clone());
        Self {
            registry,
            answered,
            refused,
            latency,
            unrecorded,
            connections,
            in_flight,
            handshakes_failed,
            writable,
            anchored,
            published,
            cosigned,
            stamped,
            models,
            resident,
            scanner,
        }
    }

    /// Whether the process that scans models is wholly shut in by `means`.
    pub(crate) fn scanner(&self, means: &'static str, is_full: bool) {
        self.scanner.get_or_create(&vec![("means", means)]).set(i64::from(is_full));
    }

    /// Counts a decision that took `latency_ns`.
    pub fn decided(&self, refusal: Option<RefusalCode>, latency_ns: u64) {
        match refusal {
            None => self.answered.inc(),
            Some(code) => self.refused[code as usize].inc(),
        };
        self.latency.observe(latency_ns as f64 / 1e9);
    }

    /// Counts a request whose decision could not be recorded.
    pub fn unrecorded(&self) {
        self.unrecorded.inc();
    }

    /// Takes over how far the log is known to others.
    pub fn stands(&self, standing: Standing) {
        let Standing { published, cosigned, stamped, is_anchored } = standing;
        self.anchored.set(i64::from(is_anchored));
        let gauges = [(&self.published, published), (&self.cosigned, cosigned)];
        for (gauge, size) in gauges.into_iter().chain([(&self.stamped, stamped)]) {
            gauge.set(i64::try_from(size).unwrap_or(i64::MAX));
        }
    }

    /// The exposition text (OpenMetrics), with what is read off at this moment.
    pub fn render(&self, is_writable: bool, n_models: usize, resident_bytes: usize) -> String {
        self.writable.set(i64::from(is_writable));
        self.models.set(n_models as i64);
        self.resident.set(resident_bytes as i64);
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown() {
        let metrics = Metrics::new();
        metrics.decided(None, 90_000);
        for code in RefusalCode::ALL {
            metrics.decided(Some(*code), 2_000_000);
        }
        metrics.unrecorded();
        let standing = Standing { published: 9, cosigned: 7, stamped: 5, is_anchored: true };
        metrics.stands(standing);
        metrics.scanner("landlock", false);
        metrics.scanner("seccomp", true);
        let text = metrics.render(true, 4, 1_000);
        for line in [
            "bartizan_decisions_total{verdict=\"answered\",code=\"none\"} 1",
            "bartizan_decisions_total{verdict=\"refused\",code=\"throttled\"} 1",
            "bartizan_decision_latency_seconds_bucket{le=\"0.0001\"} 1",
            "bartizan_unrecorded_total 1",
            "bartizan_ledger_writable 1",
            "bartizan_ledger_anchored 1",
            "bartizan_ledger_published_records 9",
            "bartizan_ledger_witnessed_records 7",
            "bartizan_ledger_time_stamped_records 5",
            "bartizan_scanner_confined{means=\"landlock\"} 0",
            "bartizan_scanner_confined{means=\"seccomp\"} 1",
            "bartizan_models_resident_bytes 1000",
        ] {
            assert!(text.contains(line), "no `{line}` in:\n{text}");
        }
    }
}
