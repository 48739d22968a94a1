//! What is counted of HTTP requests: by route, so that their number has a bound whatever strangers ask for.

use std::collections::HashMap;
use std::time::Duration;

use tapeline_core::clock::micros;
use tapeline_core::stats::{Count, Histogram};

/// Requests for a path that nothing is served at.
const NOWHERE: &str = "none";
/// The first digits of a status.
const CLASSES: usize = 6;

/// One route's.
#[derive(Debug, Default)]
pub(crate) struct RouteStats {
    by_class: [Count; CLASSES],
    /// From the head to the answer; of a handshake, to the upgrade.
    pub took: Histogram,
}

impl RouteStats {
    /// How many were answered `1xx` to `5xx`.
    pub(crate) fn by_class(&self) -> impl Iterator<Item = (usize, u64)> {
        self.by_class.iter().map(Count::read).enumerate().skip(1)
    }
}

/// All routes'.
#[derive(Debug)]
pub(crate) struct Requests {
    routes: HashMap<&'static str, RouteStats>,
    nowhere: RouteStats,
}

impl Requests {
    pub(crate) fn new(routes: impl IntoIterator<Item = &'static str>) -> Self {
        let routes = routes.into_iter().map(|route| (route, RouteStats::default())).collect();
        Requests { routes, nowhere: RouteStats::default() }
    }

    /// A request was answered.
    pub(crate) fn count(&self, route: Option<&str>, status: u16, took: Duration) {
        let stats = route.and_then(|route| self.routes.get(route)).unwrap_or(&self.nowhere);
        if let Some(count) = stats.by_class.get(usize::from(status / 100)) {
            count.add(1);
        }
        stats.took.add(micros(took));
    }

    /// By route, those that were asked for.
    pub(crate) fn list(&self) -> Vec<(&'static str, &RouteStats)> {
        let all = self.routes.iter().map(|(route, stats)| (*route, stats)).chain([(NOWHERE, &self.nowhere)]);
        let mut asked: Vec<_> =
            all.filter(|(_, stats)| stats.by_class().any(|(_, count)| count > 0)).collect();
        asked.sort_unstable_by_key(|(route, _)| *route);
        asked
    }
}
