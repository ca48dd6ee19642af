//! A server's answers reach the client with a UDP checksum that nobody filled in (RFC 768), and clients that read raw frames drop them.

use std::net::Ipv4Addr;

use super::heed::{Heed, Reaction};
use crate::detect::{Context, Detector, Entry, Needs, at_port};
use crate::event::{Cited, Direction, Frame, Place, VantageId};
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{BoundedMap, Few, Mac, Timestamp};
use crate::wire::{DhcpKind, Kind};
use crate::world::{Checksum, Derived, DhcpStep, Observation, Topic};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "DHCP019",
        name: "reply-bad-checksum",
        levels: &[(Confidence::Risk, Severity::Info), (Confidence::Confirmed, Severity::Error)],
        page: include_str!("reply_bad_checksum.md"),
    },
    hears: &[Kind::Dhcp],
    follows: &[Topic::Discover, Topic::Offer, Topic::Request, Topic::Ack],
    needs: Needs::Frames,
    make: |settings| Box::new(ReplyBadChecksum::new(settings)),
};

/// Answers left unheard that make it certain: one may be lost anywhere.
const IGNORED: u64 = 2;
/// Servers and interfaces that are followed.
const MOST: usize = 1_024;
/// Frames that are cited.
const CITED: usize = 4;

/// A server, and the interface at which its answers reach clients.
type Way = (Ipv4Addr, VantageId);

struct ReplyBadChecksum {
    heed: Heed<Way>,
    ways: BoundedMap<Way, Answers>,
}

/// Answers with a wrong checksum.
struct Answers {
    client: Mac,
    since: Timestamp,
    have: u16,
    want: u16,
    is_unfilled: bool,
    count: u64,
    ignored: u64,
    /// Whether some client takes them as they are.
    is_taken: bool,
    fresh: Vec<Cited>,
    claimed: Option<Key>,
}

impl ReplyBadChecksum {
    fn new(settings: &Settings) -> Self {
        Self { heed: Heed::new(settings), ways: BoundedMap::new(MOST) }
    }

    /// A frame with a message, on its way into a client: only there nothing will fill the checksum in any more.
    fn passed(&mut self, frame: &Frame<'_>, cx: &Context<'_>) {
        let place = cx.world.vantage(frame.at.vantage).map_or(Place::Unknown, |v| v.place);
        let is_last = match place {
            Place::Tap => frame.direction != Direction::In,
            Place::Guest => frame.direction != Direction::Out,
            _ => false,
        };
        let Some(dhcp) = frame.layers.dhcp().filter(|dhcp| is_last && dhcp.op() == 2) else { return };
        let (Some(kind), Some(server)) = (dhcp.message_type(), dhcp.server_id()) else { return };
        let checksum = Checksum::of(frame);
        let Some((have, want)) = checksum.fault().filter(|_| matches!(kind, DhcpKind::Offer | DhcpKind::Ack)) else {
            return;
        };
        let way = (server, frame.at.vantage);
        let fresh = || Answers {
            client: dhcp.chaddr(),
            since: frame.time,
            have,
            want,
            is_unfilled: matches!(checksum, Checksum::Unfilled { .. }),
            count: 0,
            ignored: 0,
            is_taken: false,
            fresh: Vec::new(),
            claimed: None,
        };
        let answers = self.ways.entry(&way, fresh);
        answers.count = answers.count.saturating_add(1);
        (answers.have, answers.want, answers.client) = (have, want, dhcp.chaddr());
        answers.cite(Cited::of(frame));
        let t1 = dhcp.t1().or_else(|| dhcp.lease().map(|lease| lease / 2));
        self.heed.told(dhcp.chaddr(), kind == DhcpKind::Ack, t1, frame.order, way);
    }

    fn reacted(&mut self, reaction: Reaction, ways: &Few<Way>, asked: Option<&DhcpStep>, cx: &mut Context<'_>) {
        for way in ways.iter() {
            let Some(answers) = self.ways.get_mut(way) else { continue };
            match reaction {
                Reaction::Heeded => {
                    answers.is_taken = true;
                    if let Some(key) = answers.claimed.take() {
                        cx.resolve(key, format!("{} took such an answer", answers.client));
                    }
                }
                // Where it takes them as they are, it is not the checksum that it minds.
                _ if answers.is_taken => {}
                Reaction::Ignored => {
                    answers.ignored = answers.ignored.saturating_add(1);
                    asked.into_iter().for_each(|step| answers.cite(step.cited.clone()));
                    if answers.ignored >= IGNORED {
                        answers.claim(*way, cx);
                    }
                }
                Reaction::Silent => answers.claim(*way, cx),
            }
        }
    }
}

impl Detector for ReplyBadChecksum {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Packet(seen) | Observation::Sighting(seen) => self.passed(seen.frame, cx),
            Observation::Derived(Derived::Dhcp(step)) => {
                if let Some((reaction, ways)) = self.heed.heard(step) {
                    self.reacted(reaction, &ways, Some(step), cx);
                }
            }
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.heed.next_deadline()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some((reaction, ways)) = self.heed.due(cx.now) {
            self.reacted(reaction, &ways, None, cx);
        }
    }
}

impl Answers {
    fn cite(&mut self, cited: Cited) {
        if self.fresh.len() > CITED {
            self.fresh.pop();
        }
        self.fresh.push(cited);
    }

    fn claim(&mut self, (server, vantage): Way, cx: &mut Context<'_>) {
        // Elsewhere a checksum may be left for hardware that is still to come.
        if self.is_unfilled && !cx.world.is_port(vantage) {
            return;
        }
        let interface = cx.world.interface(vantage);
        let is_sure = self.ignored >= IGNORED;
        let (confidence, severity) =
            if is_sure { (Confidence::Confirmed, Severity::Error) } else { (Confidence::Risk, Severity::Info) };
        let kind = if self.is_unfilled { "an unfilled" } else { "a wrong" };
        let does = if is_sure { "asks on as if nothing had come" } else { "may drop them, and has not acted on them" };
        let headline = format!(
            "The answers of {server} reach {interface} with {kind} UDP checksum since {} (0x{:04x}, should be 0x{:04x}), and {} {does}.",
            self.since.clock(),
            self.have,
            self.want,
            self.client,
        );
        let fresh = || Key::new().with("server", server).with("interface", interface);
        let key = self.claimed.get_or_insert_with(fresh).clone();
        let claim = Claim::new(key, confidence, severity, headline)
            .seen(self.since, self.count)
            .at(vantage)
            .number("answers", self.count)
            .number("ignored", self.ignored)
            .number("client", self.client.to_string())
            .proved_by(std::mem::take(&mut self.fresh))
            .filter("udp.checksum.status == \"Bad\" && udp.srcport == 67");
        let claim = if self.is_unfilled {
            at_port(claim, vantage, cx)
                .cause("the server runs on this host: its system left the checksum for hardware, and none is on the way to the guest")
                .cause("the client reads raw frames and checks them itself, as old versions of dhclient do (\"bad udp checksums\")")
                .step(
                    "Fill in the checksums on the server's host",
                    "iptables -t mangle -A POSTROUTING -p udp --dport 68 -j CHECKSUM --checksum-fill",
                )
                .step("Or let the server's own interface do without offload", "ethtool -K IFACE tx off")
        } else {
            claim
                .cause("something on the way changes the answers and does not mend the checksum: a relay, a filter, a tunnel")
                .cause("memory or a cable on the way is faulty")
                .step("See where the checksum is still right", "tcpdump -eni any -vv 'udp port 68'")
        };
        cx.raise(claim);
    }
}
