//! TCP004: a receiver takes no more for seconds: its window is zero, and stays so when it is asked (RFC 9293 section 3.8.6.1). The program
//! there does not read; the network is well.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::detect::{Context, Detector, Entry, Needs, filter, many};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::value::{Deadlines, Span, Timestamp};
use crate::world::{Derived, DomainId, Observation, Stall, Topic};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "TCP004",
        name: "receiver-stalled",
        levels: &[(Confidence::Confirmed, Severity::Warning)],
        page: include_str!("receiver_stalled.md"),
    },
    hears: &[],
    follows: &[Topic::Stall],
    needs: Needs::Frames,
    make: |_| Box::new(ReceiverStalled::default()),
};

/// Probes come every two minutes at the latest (Linux `TCP_RTO_MAX`): after so long without one nobody waits any more.
const GIVEN_UP: Span = Span::secs(300);
/// Connections that are remembered; further ones are not judged.
const MOST: usize = 1_024;
/// Frames that are cited of each of many.
const CITED: usize = 1;

type End = (IpAddr, u16);
/// The receiver and the sender of a connection.
type Ends = (DomainId, End, End);

/// What many connections have in common.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Common {
    /// The host that sends.
    From(IpAddr),
    /// The host that takes no more.
    At(IpAddr),
}

#[derive(Default)]
struct ReceiverStalled {
    stalls: BTreeMap<Ends, Arc<Stall>>,
    /// Connections that have a host in common.
    crowds: many::Crowds<Common, Ends>,
    deadlines: Deadlines<Ends>,
}

impl Detector for ReceiverStalled {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Derived(Derived::Stalled(stall)) => self.stalled(stall, cx),
            Observation::Derived(Derived::Drained { domain, receiver, sender, at }) => {
                let why = format!("it took data again, or the connection ended, at {}", at.clock());
                self.end((*domain, *receiver, *sender), &why, cx);
            }
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(ends) = self.deadlines.pop(cx.now) {
            self.end(ends, &format!("nothing more was heard of it for {GIVEN_UP}"), cx);
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for (common, domain) in self.crowds.outgrown() {
            self.tell(common, domain, cx);
        }
    }
}

impl ReceiverStalled {
    fn stalled(&mut self, stall: &Arc<Stall>, cx: &mut Context<'_>) {
        let ends = (stall.domain, stall.receiver, stall.sender);
        if self.stalls.len() >= MOST && !self.stalls.contains_key(&ends) {
            return;
        }
        self.stalls.insert(ends, Arc::clone(stall));
        self.deadlines.set(ends, cx.now.after(GIVEN_UP));
        let (domain, commons) = (stall.domain, commons(&ends));
        self.crowds.join(commons, domain, ends);
        let many = |common: &Common| self.crowds.of(*common, domain)?.count();
        // The receiver is what it is about, where both have as many.
        if let Some(common) = commons.into_iter().filter(|common| many(common).is_some()).max_by_key(many) {
            if self.crowds.has_news(common, domain, cx.now) {
                self.tell(common, domain, cx);
            }
        } else {
            let key = Key::new().with("receiver", name(stall.receiver)).with("sender", name(stall.sender));
            let key = key.with("domain", cx.world.domains.name(domain));
            self.crowds.stands_alone(ends, key.clone());
            cx.raise(claim_of_one(key, stall));
        }
    }

    /// On this connection it is over, because of `why`.
    fn end(&mut self, ends: Ends, why: &str, cx: &mut Context<'_>) {
        if self.stalls.remove(&ends).is_some() {
            self.deadlines.clear(&ends);
            self.crowds.leave(commons(&ends), ends.0, ends, why, cx);
        }
    }

    /// Says of many connections with a host in common that nothing is taken on them; what was said of some of them alone leaves the report.
    fn tell(&mut self, common: Common, domain: DomainId, cx: &mut Context<'_>) {
        let (world, severity) = (cx.world, Severity::Warning);
        let fresh = || common.key().with("domain", world.domains.name(domain));
        let Some((telling, crowd)) = self.crowds.tell((common, domain), severity, fresh, cx) else { return };
        let stalls: Vec<&Stall> = crowd.places().filter_map(|ends| self.stalls.get(&ends).map(Arc::as_ref)).collect();
        cx.raise(claim_of_many(telling.key, common, crowd.at_least(), &stalls, telling.is_first));
    }
}

/// What a connection may have in common with others, what it is about last.
const fn commons((_, receiver, sender): &Ends) -> [Common; 2] {
    [Common::From(sender.0), Common::At(receiver.0)]
}

impl Common {
    /// The key of what is said of many.
    fn key(self) -> Key {
        match self {
            Self::From(host) => Key::new().with("sender", host),
            Self::At(host) => Key::new().with("receiver", host),
        }
    }

    const fn host(self) -> IpAddr {
        match self {
            Self::From(host) | Self::At(host) => host,
        }
    }

    /// The host at the other end.
    const fn other(self, stall: &Stall) -> IpAddr {
        match self {
            Self::From(_) => stall.receiver.0,
            Self::At(_) => stall.sender.0,
        }
    }
}

/// What is said of one connection.
fn claim_of_one(key: Key, stall: &Stall) -> Claim {
    let Stall { receiver, sender, since, last, count, .. } = *stall;
    let headline = format!(
        "{} has a window of zero towards {} since {}, for {}, and said so {count} times: the program there does not \
         read what is sent to it.",
        name(receiver),
        name(sender),
        since.clock(),
        last.since(since),
    );
    let hosts = (receiver.0.min(sender.0), receiver.0.max(sender.0));
    let claim = Claim::new(key, Confidence::Confirmed, Severity::Warning, headline)
        .seen(since, count)
        .until(last)
        .at(stall.vantage)
        .number("seconds", last.since(since).as_secs())
        .number("zero_windows", count)
        .number("hosts", format!("{} {}", hosts.0, hosts.1))
        .proved_by(stall.cited.clone())
        .filter(format!(
            "ip.addr == {} && ip.addr == {} && tcp.port == {} && tcp.port == {}",
            hosts.0, hosts.1, receiver.1, sender.1
        ));
    told(claim, Some(receiver.1))
}

/// What is said of the many connections in `stalls`, of which there may be more if `at_least` says so; `is_first` where it is said anew.
fn claim_of_many(key: Key, common: Common, at_least: &str, stalls: &[&Stall], is_first: bool) -> Claim {
    let others = many::distinct(stalls.iter().map(|stall| common.other(stall)));
    let ports = many::distinct(stalls.iter().map(|stall| stall.receiver.1));
    let port = Some(&ports).filter(|ports| ports.len() == 1).and_then(|ports| ports.first().copied());
    let since = stalls.iter().map(|stall| stall.since).min().unwrap_or(Timestamp::MIN);
    let last = stalls.iter().map(|stall| stall.last).max().unwrap_or(since);
    let longest = stalls.iter().map(|stall| stall.last.since(stall.since)).max().unwrap_or_default();
    let (connections, named) = (stalls.len(), many::listed(&others));
    let headline = match (common, port) {
        (Common::At(host), port) => {
            let host = port.map_or_else(|| host.to_string(), |port| name((host, port)));
            format!(
                "{host} has a window of zero on {at_least}{connections} connections, towards {named}, since {}, for {longest} at \
                 most: the program there does not read what is sent to it.",
                since.clock()
            )
        }
        (Common::From(host), _) => format!(
            "{host} waits on {at_least}{connections} connections, to {named}, since {}, for {longest} at most: the windows there \
             are zero, so that the programs do not read what it sends, or it sends more than they ever can.",
            since.clock()
        ),
    };
    let host = common.host();
    let mut by_time = stalls.to_vec();
    by_time.sort_by_key(|stall| stall.since);
    let cited = by_time.iter().flat_map(|stall| stall.cited.iter().take(CITED).cloned());
    let count = stalls.iter().fold(0, |sum: u64, stall| sum.saturating_add(stall.count));
    let claim = Claim::new(key, Confidence::Confirmed, Severity::Warning, headline)
        .seen(since, count)
        .until(last)
        .number("connections", connections)
        .number("others", others.len())
        .number("seconds", longest.as_secs())
        .number("zero_windows", count)
        .number("common_host", host.to_string())
        .proved_by(cited.take(if is_first { many::CITED } else { 0 }))
        .filter(format!("{} && tcp.analysis.zero_window", filter::host(host)));
    let latest = stalls.iter().max_by_key(|stall| stall.last);
    told(latest.into_iter().fold(claim, |claim, stall| claim.at(stall.vantage)), port)
}

/// The claim with its causes and what to do.
fn told(claim: Claim, port: Option<u16>) -> Claim {
    let sockets =
        port.map_or_else(|| Command::from("ss -tnpi"), |port| Command::with("ss -tnpi sport = :{}", &[&port]));
    claim
        .cause("the program computes, hangs, or waits for its own disk or database")
        .cause("the machine swaps, or its processor is not given to it")
        .cause("more is sent than it can ever take in: a slow consumer")
        .step("On the receiver, see how much waits to be read, and by whom", sockets)
        .step("See what that program does", "cat /proc/PID/wchan /proc/PID/status; strace -fp PID")
        .step("See whether the machine swaps or waits for its disk", "vmstat 1 5; iostat -x 1 5")
}

/// `10.0.0.5:5672`, and IPv6 in brackets.
fn name((ip, port): End) -> String {
    std::net::SocketAddr::new(ip, port).to_string()
}
