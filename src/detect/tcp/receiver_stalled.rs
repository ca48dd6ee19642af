//! A receiver of TCP takes no more for seconds: its window is zero, and stays so when it is asked (RFC 9293 section 3.8.6.1). The program
//! there does not read; the network is well.

use std::net::IpAddr;

use crate::detect::{Context, Detector, Entry, Needs};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::BoundedMap;
use crate::world::{Derived, DomainId, Observation, Stall, Topic};

/// The rule and its detector.
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
    make: |settings| Box::new(ReceiverStalled::new(settings)),
};

type End = (IpAddr, u16);

struct ReceiverStalled {
    claimed: BoundedMap<(DomainId, End, End), Key>,
}

impl ReceiverStalled {
    fn new(settings: &Settings) -> Self {
        Self { claimed: BoundedMap::new(settings.tables.lapses) }
    }

    fn stalled(&mut self, stall: &Stall, cx: &mut Context<'_>) {
        let Stall { receiver, sender, since, last, count, .. } = *stall;
        let domain = cx.world.domains.name(stall.domain);
        let fresh = || {
            let key = Key::new().with("receiver", name(receiver)).with("sender", name(sender));
            key.with("domain", domain)
        };
        let key = self.claimed.entry(&(stall.domain, receiver, sender), fresh).clone();
        let headline = format!(
            "{} has a window of zero towards {} since {}, for {}, and said so {count} times: the program there does not \
             read what is sent to it.",
            name(receiver),
            name(sender),
            since.clock(),
            last.since(since),
        );
        let hosts = (receiver.0.min(sender.0), receiver.0.max(sender.0));
        let (one, two) = (receiver.1, sender.1);
        let claim = Claim::new(key, Confidence::Confirmed, Severity::Warning, headline)
            .seen(since, count)
            .until(last)
            .at(stall.vantage)
            .number("seconds", last.since(since).as_secs())
            .number("zero_windows", count)
            .number("hosts", format!("{} {}", hosts.0, hosts.1))
            .proved_by(stall.cited.clone())
            .filter(format!(
                "ip.addr == {} && ip.addr == {} && tcp.port == {one} && tcp.port == {two}",
                hosts.0, hosts.1
            ))
            .cause("the program computes, hangs, or waits for its own disk or database")
            .cause("the machine swaps, or its processor is not given to it")
            .cause("more is sent than it can ever take in: a slow consumer")
            .step(
                "On the receiver, see how much waits to be read, and by whom",
                Command::with("ss -tnpi sport = :{}", &[&one]),
            )
            .step("See what that program does", "cat /proc/PID/wchan /proc/PID/status; strace -fp PID")
            .step("See whether the machine swaps or waits for its disk", "vmstat 1 5; iostat -x 1 5");
        cx.raise(claim);
    }
}

impl Detector for ReceiverStalled {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Derived(Derived::Stalled(stall)) => self.stalled(stall, cx),
            Observation::Derived(Derived::Drained { domain, receiver, sender, at }) => {
                if let Some(key) = self.claimed.remove(&(*domain, *receiver, *sender)) {
                    cx.resolve(key, format!("it took data again, or the connection ended, at {}", at.clock()));
                }
            }
            _ => {}
        }
    }
}

/// `10.0.0.5:5672`, and IPv6 in brackets.
fn name((ip, port): End) -> String {
    std::net::SocketAddr::new(ip, port).to_string()
}
