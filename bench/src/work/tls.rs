//! TLS: the same fan-out to the same number of clients plain and behind TLS, on one hub; before it, what a silent client
//! behind TLS costs in the server's memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use super::loops::{self, Loop};
use crate::fleet::{Door, Fleet, Hear, Plan};
use crate::procfs::{float, memory};
use crate::report::{Bound, Goal, Report, Sample};
use crate::server::{Certificate, Server, Target, scratch};
use crate::session::{Common, Session};
use crate::template;

/// Clients before the memory is read for the first time: they pay for what is there once.
const FIRST: usize = 20;

/// Settings of `tls`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct TlsArgs {
    /// Subscribed clients of a fan-out.
    #[arg(long, default_value_t = 1000)]
    clients: usize,
    /// Bytes of `data`.
    #[arg(long, default_value_t = 200)]
    payload: usize,
    /// Publishes that are not yet with every client.
    #[arg(long, default_value_t = 8)]
    outstanding: u64,
    /// Measured seconds of each fan-out, after one to warm up.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Silent clients.
    #[arg(long, default_value_t = 2000)]
    idle: usize,
    /// Seconds of silence before memory is read.
    #[arg(long, default_value_t = 3.0)]
    silence: f64,
}

/// Measures.
pub(crate) fn run(args: &TlsArgs, common: &Common) -> Result<Report> {
    let (certificate, config) = certificate()?;
    let mut session = Session::new(common, &[Target::Product], args.payload)?;
    session.launch().certificate = Some(certificate);
    let load = format!(
        "{} idle clients behind TLS; 1 channel x {} clients, {} B, {} publishes outstanding, {} s plain, then behind TLS",
        args.idle, args.clients, args.payload, args.outstanding, args.seconds
    );
    let goals = vec![
        Goal::value("TLS/plain", Bound::AtLeast(0.5)),
        Goal::value("idle KiB/client", Bound::AtMost(24.0)),
    ];
    let mut report = Report::new("tls", load, goals);
    session.measure(&mut report, |server| measure(server, args, &config))?;
    Ok(report)
}

/// A certificate for this run in files, and who believes it.
fn certificate() -> Result<(Certificate, Arc<ClientConfig>)> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_string()])?;
    let folder = scratch()?;
    let files = Certificate { chain: folder.join("chain.pem"), key: folder.join("key.pem") };
    std::fs::write(&files.chain, made.cert.pem())?;
    std::fs::write(&files.key, made.signing_key.serialize_pem())?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(made.cert.der().to_vec()))?;
    Ok((files, Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())))
}

struct Nobody;

impl Hear for Nobody {
    fn on_text(&mut self, _client: usize, _payload: &[u8], _now_ns: u64) {}
}

fn measure(server: &Server, args: &TlsArgs, config: &Arc<ClientConfig>) -> Result<Sample> {
    let behind = server.tls.context("the server speaks TLS")?;
    let secured = || Fleet::new(behind).map(|fleet| fleet.behind_tls(config.clone()));
    let idle_kib = idle(server, args, secured()?)?;
    let settings = Loop {
        door: Door::Native,
        payload: args.payload,
        window: args.outstanding,
        warm_up: Duration::from_secs(1),
        duration: Duration::from_secs_f64(args.seconds),
        order: vec![(0, u32::try_from(args.clients)?)],
        dense: true,
    };
    let subscribers = || vec![Plan::subscriber(&[template::channel(0)]); args.clients];
    let plain = loops::drive(server, Fleet::new(server.addr)?, &settings, subscribers())?;
    let tls = loops::drive(server, secured()?, &settings, subscribers())?;
    let figure = |sample: &Sample, name: &str| {
        let found = sample.iter().find(|(known, _)| *known == name);
        found.map(|(_, figure)| *figure).with_context(|| format!("{name} was measured"))
    };
    let rates = [figure(&plain, "deliveries/s")?, figure(&tls, "deliveries/s")?];
    let cpu = [figure(&plain, "server CPU us/delivery")?, figure(&tls, "server CPU us/delivery")?];
    Ok(vec![
        ("TLS/plain", rates[1] / rates[0]),
        ("plain deliveries/s", rates[0]),
        ("TLS deliveries/s", rates[1]),
        ("plain CPU us/delivery", cpu[0]),
        ("TLS CPU us/delivery", cpu[1]),
        ("idle KiB/client", idle_kib),
    ])
}

fn idle(server: &Server, args: &TlsArgs, mut fleet: Fleet) -> Result<f64> {
    let plans = |count: usize| vec![Plan::subscriber(&[template::channel(1)]); count];
    fleet.open(plans(FIRST), 64, &mut Nobody)?;
    rest(&mut fleet, args.silence)?;
    let before = memory(server.pid())?;
    fleet.open(plans(args.idle), 64, &mut Nobody)?;
    rest(&mut fleet, args.silence)?;
    let after = memory(server.pid())?;
    fleet.check_all_alive()?;
    let grown = after.rss_kib.saturating_sub(before.rss_kib);
    Ok(float(grown) / float(u64::try_from(args.idle.max(1))?))
}

fn rest(fleet: &mut Fleet, seconds: f64) -> Result<()> {
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    while Instant::now() < end {
        fleet.poll(Duration::from_millis(100), &mut Nobody)?;
    }
    Ok(())
}
