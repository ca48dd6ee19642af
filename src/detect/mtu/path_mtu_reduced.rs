//! MTU004: a router says that a path takes less than the sender thought (RFC 1191 section 4, RFC 8201 section 3).

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::detect::{Context, Detector, Due, Entry, Followed, Needs};
use crate::event::VantageId;
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::value::{Fingerprint, Span, Timestamp};
use crate::world::{Derived, DomainId, Observation, TooBig, Topic};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "MTU004",
        name: "path-mtu-reduced",
        levels: &[(Confidence::Confirmed, Severity::Info), (Confidence::Confirmed, Severity::Warning)],
        page: include_str!("path_mtu_reduced.md"),
    },
    hears: &[],
    follows: &[Topic::PathMtu],
    needs: Needs::Frames,
    make: |_| Box::new(PathMtuReduced { routers: Followed::new(MOST, 1, CITED) }),
};

/// The span without a message after which it is over.
const QUIET_FOR: Span = Span::secs(60);
/// Routers and sizes that are followed.
const MOST: usize = 1_024;
/// Pairs of hosts that are counted of one router and size.
const MOST_PAIRS: usize = 10_000;
/// Frames that are cited.
const CITED: u64 = 3;
/// What every path takes: IPv4 (RFC 791), IPv6 (RFC 8200 section 5).
const LEAST_V4: u32 = 576;
const LEAST_V6: u32 = 1_280;

struct PathMtuReduced {
    routers: Followed<RouterKey, Said>,
}

/// Who says which size, in which network.
type RouterKey = (IpAddr, u32, DomainId);

/// What one router said of one size.
struct Said {
    vantage: VantageId,
    /// By what the sightings of its first message are found.
    packet: Option<Fingerprint>,
    pairs: BTreeSet<(IpAddr, IpAddr)>,
    /// The packet that the latest message is about.
    latest: (IpAddr, IpAddr, u32),
    odd: Option<&'static str>,
}

impl Detector for PathMtuReduced {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Derived(Derived::TooBig(message)) = seen
            && message.is_first
        {
            self.message(message, cx);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.routers.next_deadline()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(due) = self.routers.due(cx.now, QUIET_FOR) {
            match due {
                Due::Ripe(key) => self.claim(&key, cx),
                Due::Over(key, said) => {
                    cx.resolve(claim_key(&key, cx), format!("no such message for {}", cx.now.since(said.last)));
                }
            }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for key in self.routers.unsaid() {
            self.claim(&key, cx);
        }
    }
}

impl PathMtuReduced {
    fn message(&mut self, message: &TooBig, cx: &Context<'_>) {
        let (told, quoted) = (&message.told, &message.quoted);
        let key = (told.reporter, told.mtu, cx.world.domains.root(message.domain));
        let latest = (quoted.src, quoted.dst, quoted.packet_len);
        let new =
            || Said { vantage: message.vantage, packet: message.packet, pairs: BTreeSet::new(), latest, odd: None };
        let said = &mut self.routers.note(&key, message.cited.time, cx, new, || [message.cited.clone()]).what;
        said.latest = latest;
        if said.pairs.len() < MOST_PAIRS {
            said.pairs.insert((quoted.src, quoted.dst));
        }
        said.odd = said.odd.or(odd(told.mtu, quoted.packet_len, quoted.src.is_ipv4()));
    }

    fn claim(&mut self, key: &RouterKey, cx: &mut Context<'_>) {
        let Some(matter) = self.routers.get_mut(key) else { return };
        let said = &matter.what;
        let way = said.packet.map(|packet| cx.world.sightings.way("the message", packet, &[]));
        let claim = said.claim(claim_key(key, cx), key.0, key.1).at(said.vantage).going(way);
        cx.raise(matter.prove(claim));
    }
}

impl Said {
    fn claim(&self, key: Key, reporter: IpAddr, mtu: u32) -> Claim {
        let (src, dst, sent) = self.latest;
        let others = match self.pairs.len() {
            0 | 1 => String::new(),
            n => format!(", and so for {} pairs of hosts more", n.saturating_sub(1)),
        };
        let headline = match mtu {
            0 => format!(
                "{reporter} says that packets of {sent} bytes from {src} are too large for the path to {dst}, and not what it takes{others}"
            ),
            mtu => format!(
                "{reporter} says that the path from {src} to {dst} takes at most {mtu} bytes, and {sent} were sent{others}"
            ),
        };
        let (severity, headline) = match self.odd {
            None => (Severity::Info, format!("{headline}.")),
            Some(odd) => (Severity::Warning, format!("{headline}: {odd}.")),
        };
        let claim = Claim::new(key, Confidence::Confirmed, severity, headline)
            .number("path_mtu", mtu)
            .number("sent", sent)
            .number("pairs", self.pairs.len())
            .number("host", src.min(dst).to_string())
            .number("other_host", src.max(dst).to_string())
            .filter("(icmp.type == 3 && icmp.code == 4) || icmpv6.type == 2")
            .cause(match self.odd {
                None => {
                    "path MTU discovery at work, as it should be: the sender cuts its packets to this size and goes on"
                }
                Some(_) => "an old or wrongly configured router, or a message that somebody made up",
            })
            .cause("a tunnel or a VPN on the way, whose headers take room")
            .cause("two VLAN tags on a link that was made for one (MTU001)");
        if self.odd.is_none() {
            return claim.step(
                "Nothing, if the sender cuts its packets (else MTU005 says so)",
                Command::with("ip route get {}", &[&dst]),
            );
        }
        claim
            .step("Look at the MTU of the router's interface towards the receiver", "ip link show")
            .step("See what passes", Command::with("tracepath -n {}", &[&dst]))
    }
}

/// What is odd about a message.
const fn odd(mtu: u32, sent: u32, is_v4: bool) -> Option<&'static str> {
    let least = if is_v4 { LEAST_V4 } else { LEAST_V6 };
    match mtu {
        0 => Some("the sender has to guess"),
        mtu if mtu < least => Some("every path has to take more than that"),
        mtu if mtu >= sent => Some("that fits, so that the message is wrong or not about this packet"),
        _ => None,
    }
}

fn claim_key((reporter, mtu, domain): &RouterKey, cx: &Context<'_>) -> Key {
    Key::new().with("reporter", reporter).with("mtu", mtu).with("domain", cx.world.domains.name(*domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_size_between_the_least_and_what_was_sent_makes_sense() {
        assert_eq!((odd(1_450, 1_500, true), odd(1_280, 1_500, false)), (None, None));
        assert!(odd(0, 1_500, true).is_some() && odd(552, 1_500, true).is_some());
        assert!(odd(1_200, 1_500, false).is_some() && odd(1_500, 1_500, true).is_some());
    }
}
