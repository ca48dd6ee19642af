//! A capture while it runs, whatever becomes of its frames: whom it listens to, and when it ends.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use super::wanted::Wanted;
use crate::cli::{Progress, args};
use crate::event::{Fact, LinkKind, Stamped};
use crate::source::live::{Filters, Guests, HostFacts, Leases, Wakefulness, now, wait};
use crate::source::{Case, Lane, Merge};
use crate::value::{Outside, Span, Timestamp};

/// Frames after which the clock and the signals are looked at, where nothing is ever idle.
const LOOK_EVERY: u32 = 4_096;

/// What becomes of the frames.
pub trait Run {
    /// Takes the next thing in the order.
    fn go_on(&mut self) -> Progress;

    /// Where the frames come from.
    fn merge(&mut self) -> &mut Merge;

    /// Whether it makes no sense to go on.
    fn is_futile(&self) -> bool;
}

/// A capture while it runs.
pub struct Session {
    wanted: Wanted,
    host: Option<HostFacts>,
    guests: Guests,
    filters: Filters,
    leases: Leases,
    stop: Arc<AtomicBool>,
    started: Timestamp,
    duration: Option<Span>,
    count: Option<u64>,
    /// Whether an interface that was asked for could not be opened.
    pub is_troubled: bool,
}

impl Session {
    /// Opens the interfaces, and asks the host; after `count` frames it is enough.
    ///
    /// # Errors
    /// When no interface can be captured on.
    pub fn begin(args: &args::Capture, count: Option<u64>) -> anyhow::Result<(Self, Case)> {
        let stop = stop_on_signals()?;
        let mut wanted = Wanted::new(args);
        let mut guests = Guests::default();
        let mut filters = Filters::default();
        let (host, facts) = ask_host(&mut guests, &mut filters);
        let (lanes, is_troubled) = open(&mut wanted, host.as_ref())?;
        let (started, duration) = (now(), args.duration);
        let leases = Leases::default();
        let session = Self { wanted, host, guests, filters, leases, stop, started, duration, count, is_troubled };
        Ok((session, Case { lanes, facts, is_watched: true, ..Case::default() }))
    }

    /// Follows the DHCP servers' lists of leases at `paths`; what they hold now goes into `case`.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn follow_leases(&mut self, paths: &[PathBuf], case: &mut Case) -> anyhow::Result<()> {
        let (leases, log) = Leases::open(paths, self.started)?;
        self.leases = leases;
        case.facts.extend(log.facts);
        case.refused.extend(log.refused);
        Ok(())
    }

    /// When it began.
    pub const fn started(&self) -> Timestamp {
        self.started
    }

    /// Goes on until it is over.
    pub fn drive(&mut self, run: &mut dyn Run) {
        let (mut frames, mut until_look) = (0_u64, LOOK_EVERY);
        let mut is_closed = false;
        let mut awake = Wakefulness::awake();
        run.merge().mind_sleep(move || awake.has_slept());
        loop {
            let progress = run.go_on();
            match progress {
                Progress::Over => return,
                Progress::Frame => frames += 1,
                Progress::Idle(_) | Progress::Other => {}
            }
            until_look -= 1;
            let is_enough = self.count.is_some_and(|count| frames >= count);
            if until_look > 0 && !is_enough && !matches!(progress, Progress::Idle(_)) {
                continue;
            }
            until_look = LOOK_EVERY;
            if !is_closed {
                let now = now();
                self.listen(now, run.merge());
                if run.merge().has_woken() {
                    self.wake(run.merge());
                }
                let is_over = self.duration.is_some_and(|most| now.since(self.started) >= most);
                if is_over || is_enough || run.is_futile() || self.stop.load(Ordering::Relaxed) {
                    is_closed = true;
                    run.merge().close(now);
                }
            }
            if is_enough {
                return;
            }
            if matches!(progress, Progress::Idle(_)) {
                wait(run.merge(), self.host.as_ref().and_then(HostFacts::descriptor));
            }
        }
    }

    /// The machine slept: whoever began anew by that is told anew what the host is.
    fn wake(&mut self, merge: &mut Merge) {
        if self.host.is_some() {
            self.guests = Guests::default();
            let (host, told) = ask_host(&mut self.guests, &mut self.filters);
            self.host = host;
            told.into_iter().for_each(|fact| merge.tell(fact));
        }
    }

    /// Hears what the host has to say, and takes up links that it has now.
    fn listen(&mut self, now: Timestamp, merge: &mut Merge) {
        let (leases, lost) = self.leases.news(now);
        leases.into_iter().for_each(|what| merge.tell(Stamped { time: Some(now), what }));
        lost.iter().for_each(|why| anstream::eprintln!("netdiag: {why}"));
        let Some(facts) = &mut self.host else { return };
        let filters = self.filters.news(now, facts.links());
        filters.into_iter().for_each(|what| merge.tell(Stamped { time: Some(now), what }));
        match facts.poll() {
            Ok(news) if news.is_empty() => {}
            Ok(mut news) => {
                // A guest that starts has a tap that is new.
                let is_tap = |fact: &Fact| matches!(fact, Fact::Link(link) if link.kind == LinkKind::Tap);
                if news.iter().any(is_tap) {
                    news.extend(self.guests.news());
                    self.filters.expect(now);
                }
                news.into_iter().for_each(|what| merge.tell(Stamped { time: Some(now), what }));
                self.wanted.follow(facts.links(), merge);
            }
            Err(error) => {
                anstream::eprintln!("netdiag: {error}; what changes on this host from now on is not heard");
                let why = Outside::from(error.to_string().as_str());
                merge.tell(Stamped { time: Some(now), what: Fact::Missing { what: Outside::from("host"), why } });
                self.host = None;
            }
        }
    }
}

/// Asks the host for its facts; where it does not answer, that is the only fact.
fn ask_host(guests: &mut Guests, filters: &mut Filters) -> (Option<HostFacts>, Vec<Stamped<Fact>>) {
    let (host, mut told) = match HostFacts::open() {
        Ok(mut host) => {
            let told = host.read_all();
            (Some(host), told)
        }
        Err(error) => {
            let why = Outside::from(error.to_string().as_str());
            (None, vec![Fact::Missing { what: Outside::from("host"), why }])
        }
    };
    told.extend(guests.news());
    told.extend(filters.read(host.as_ref().map_or(&BTreeMap::new(), HostFacts::links)));
    let at = Some(now());
    (host, told.into_iter().map(|what| Stamped { time: at, what }).collect())
}

/// The interfaces that are asked for, each as a lane, and whether one of them could not be opened.
fn open(wanted: &mut Wanted, host: Option<&HostFacts>) -> anyhow::Result<(Vec<Lane>, bool)> {
    let nothing = BTreeMap::new();
    let (lanes, refusals) = wanted.open(host.map_or(&nothing, HostFacts::links));
    if lanes.is_empty() {
        match refusals.first() {
            Some(first) => anyhow::bail!("{first}"),
            None => anyhow::bail!("there is no link to capture on: none is up but the loopback"),
        }
    }
    for refusal in &refusals {
        anstream::eprintln!("netdiag: {refusal}; the other interfaces are captured");
    }
    let shown: Vec<String> = lanes.iter().map(|lane| lane.path.to_string()).collect();
    anstream::eprintln!(
        "netdiag: capturing on {}, with {} MiB for the frames that wait on each; Ctrl-C ends it",
        shown.join(", "),
        wanted.ring() >> 20
    );
    Ok((lanes, !refusals.is_empty()))
}

/// A flag that the signals which end a capture raise; the second of them ends the process at once.
fn stop_on_signals() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        flag::register_conditional_shutdown(signal, 2, Arc::clone(&stop)).context("listening to signals")?;
        flag::register(signal, Arc::clone(&stop)).context("listening to signals")?;
    }
    Ok(stop)
}
