//! MTU005: a sender was told that its packets are too large for the path, and sends them all the same (RFC 1191 section 6.3, RFC 8201 section 4).

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::detect::{Context, Detector, Entry, Needs, at_port};
use crate::event::{Direction, Place, VantageId};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::value::{Span, TimedMap, Timestamp};
use crate::world::{Derived, Observation, StillTooBig, TooBig, Topic};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "MTU005",
        name: "path-mtu-message-ignored",
        levels: &[(Confidence::Likely, Severity::Error), (Confidence::Confirmed, Severity::Error)],
        page: include_str!("path_mtu_message_ignored.md"),
    },
    hears: &[],
    follows: &[Topic::PathMtu],
    needs: Needs::Frames,
    make: |_| Box::new(PathMtuMessageIgnored { reached: BTreeSet::new(), ignored: TimedMap::new(MOST) }),
};

/// Messages that a sender must have been sent: one may be lost.
const MESSAGES: u32 = 2;
/// The span without a packet that is too large after which it is over, if packets of some size were sent in it.
const FITTING_FOR: Span = Span::secs(10);
/// Pairs that are remembered.
const MOST: usize = 1_024;

struct PathMtuMessageIgnored {
    /// Senders at whose own port a message was seen, as far as that place is a port, and where.
    reached: BTreeSet<(Pair, VantageId)>,
    ignored: TimedMap<Pair, Ignored>,
}

/// A sender that goes on as before, and whether that was said: all vantages have the time to show its packets first.
struct Ignored {
    still: Arc<StillTooBig>,
    is_claimed: bool,
}

/// Sender and receiver.
type Pair = (IpAddr, IpAddr);

impl Detector for PathMtuMessageIgnored {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Derived(Derived::TooBig(message)) => self.message(message, cx),
            Observation::Derived(Derived::StillTooBig(still)) if still.told.count >= MESSAGES => self.still(still, cx),
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.ignored.next_deadline()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(pair) = self.ignored.due(cx.now) {
            if self.ignored.peek(&pair).is_some_and(|ignored| !ignored.is_claimed) {
                self.claim(pair, cx);
                continue;
            }
            let Some((last, fitting)) = cx.world.path_mtus.mended(pair.0, pair.1) else { continue };
            let quiet = cx.now.since(last);
            if quiet >= FITTING_FOR && fitting > 0 {
                cx.resolve(claim_key(&pair), format!("its packets fit since {quiet}"));
                self.ignored.remove(&pair);
            } else {
                // Each look waits as long again as all before it: a capture may leap over years.
                self.ignored.wake(&pair, cx.now.after(quiet.max(FITTING_FOR)));
            }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        let unsaid: Vec<Pair> =
            self.ignored.by_age().filter(|(_, ignored)| !ignored.is_claimed).map(|(pair, _)| *pair).collect();
        unsaid.into_iter().for_each(|pair| self.claim(pair, cx));
    }
}

impl PathMtuMessageIgnored {
    /// A message inside a guest, or on its way out of the guest's tap, has reached its machine.
    fn message(&mut self, message: &TooBig, cx: &Context<'_>) {
        let place = cx.world.vantage(message.vantage).map_or(Place::Unknown, |vantage| vantage.place);
        let is_there = place == Place::Guest || (place == Place::Tap && message.direction != Direction::In);
        if is_there && self.reached.len() < MOST {
            self.reached.insert(((message.quoted.src, message.quoted.dst), message.vantage));
        }
    }

    fn still(&mut self, still: &Arc<StillTooBig>, cx: &mut Context<'_>) {
        let pair = still.pair;
        let ignored = self.ignored.entry(&pair, || Ignored { still: Arc::clone(still), is_claimed: false });
        ignored.still = Arc::clone(still);
        if ignored.is_claimed {
            self.claim(pair, cx);
        } else if self.ignored.deadline(&pair).is_none() {
            self.ignored.wake(&pair, cx.now.after(cx.world.sightings.settle()));
        }
    }

    fn claim(&mut self, pair: Pair, cx: &mut Context<'_>) {
        let Some(ignored) = self.ignored.get_mut(&pair) else { return };
        let still = Arc::clone(&ignored.still);
        let mut ports = self.reached.iter().filter(|(of, at)| *of == pair && cx.world.is_port(*at)).map(|(_, at)| *at);
        let port = ports.next();
        let claim = claim(&still, port.is_some()).at(still.vantage);
        let claim = port.into_iter().fold(claim, |claim, port| at_port(claim, port, cx));
        if std::mem::replace(&mut ignored.is_claimed, true) {
            cx.raise(claim);
        } else {
            let way = still.packet.map(|packet| cx.world.sightings.way("the latest", packet, &[]));
            cx.raise(claim.proved_by(still.cited.iter().cloned()).going(way));
        }
        self.ignored.wake(&pair, still.last.after(FITTING_FOR));
    }
}

fn claim(still: &StillTooBig, has_reached: bool) -> Claim {
    let ((src, dst), told) = (still.pair, &still.told);
    let (confidence, doubt) = if has_reached {
        (Confidence::Confirmed, "The messages reached its machine.")
    } else {
        (Confidence::Likely, "Whether the messages reached its machine was not seen.")
    };
    let headline = format!(
        "{src} keeps sending packets of {} bytes to {dst}, which must not be parted, although {} told it {} times in {} that {} is the most. {doubt}",
        still.packet_len,
        told.reporter,
        told.count,
        told.last.since(told.first),
        told.mtu
    );
    let ip = if src.is_ipv4() { "ip" } else { "ipv6" };
    Claim::new(claim_key(&still.pair), confidence, Severity::Error, headline)
        .seen(still.first, still.packets.into())
        .number("path_mtu", told.mtu)
        .number("sent", still.packet_len)
        .number("packets", still.packets)
        .number("messages", told.count)
        .number("reporter", told.reporter.to_string())
        .filter(format!("({ip}.src == {src} && {ip}.dst == {dst}) || icmp.type == 3 || icmpv6.type == 2"))
        .cause("a firewall in the guest, or a security group, drops ICMP")
        .cause("address translation on the way does not translate the packet that the message quotes, and the message is dropped as invalid")
        .cause("several machines share the address, and the message went to another of them")
        .step("Let 'fragmentation needed' (ICMP type 3 code 4, ICMPv6 type 2) through, in the guest and in its security group", "nft list ruleset | grep -i icmp")
        .step("See whether the sender has taken note", Command::with("ip route get {}   # says mtu where it has", &[&dst]))
        .step(
            "Until then, cut the segments at the router",
            "nft add rule inet mangle forward tcp flags syn tcp option maxseg size set rt mtu",
        )
}

fn claim_key((src, dst): &Pair) -> Key {
    Key::new().with("src", src).with("dst", dst)
}
